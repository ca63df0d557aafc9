# SPDX-License-Identifier: BSD-3-Clause
# Section 3 of the practical: two queues to watch order and duplicates with `celery queue`.
resource "aws_sqs_queue" "demo" {
  name = "csse6400_prac"
}

resource "aws_sqs_queue" "demo_fifo" {
  name                        = "csse6400_prac.fifo"
  fifo_queue                  = true
  content_based_deduplication = true
}
