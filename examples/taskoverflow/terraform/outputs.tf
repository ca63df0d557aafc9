# SPDX-License-Identifier: BSD-3-Clause
output "queue_url" {
  description = "Of the standard queue."
  value       = aws_sqs_queue.ical.url
}

output "fifo_queue_url" {
  description = "Of the FIFO queue."
  value       = aws_sqs_queue.ical_fifo.url
}

output "dead_letter_queue_urls" {
  description = "Where messages go that were delivered too often."
  value       = [aws_sqs_queue.dead.url, aws_sqs_queue.dead_fifo.url]
}

output "repository_url" {
  description = "Where `docker push` brings the image of the worker."
  value       = aws_ecr_repository.worker.repository_url
}

output "log_group" {
  description = "For `aws logs tail --follow`."
  value       = aws_cloudwatch_log_group.worker.name
}
