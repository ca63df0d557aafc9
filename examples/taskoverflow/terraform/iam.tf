# SPDX-License-Identifier: BSD-3-Clause
# Two roles: ECS uses one to start the container, the worker has the other. Neither is made where
# existing_role_arn names one.
locals {
  own_roles          = var.existing_role_arn == "" ? 1 : 0
  execution_role_arn = var.existing_role_arn != "" ? var.existing_role_arn : aws_iam_role.execution[0].arn
  task_role_arn      = var.existing_role_arn != "" ? var.existing_role_arn : aws_iam_role.worker[0].arn
}

data "aws_iam_policy_document" "ecs_tasks" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }
  }
}

# ---- what the worker may do: receive, settle and renew; send retries and callbacks ----

data "aws_iam_policy_document" "worker" {
  statement {
    sid = "Queues"
    actions = [
      "sqs:GetQueueUrl",
      "sqs:GetQueueAttributes",
      "sqs:ReceiveMessage",
      "sqs:DeleteMessage",
      "sqs:ChangeMessageVisibility",
      "sqs:SendMessage",
    ]
    resources = [
      aws_sqs_queue.ical.arn,
      aws_sqs_queue.ical_fifo.arn,
    ]
  }

  # What cannot be read or run is put there by the worker itself.
  statement {
    sid     = "DeadLetters"
    actions = ["sqs:GetQueueUrl", "sqs:SendMessage"]
    resources = [
      aws_sqs_queue.dead.arn,
      aws_sqs_queue.dead_fifo.arn,
    ]
  }
}

resource "aws_iam_role" "worker" {
  count              = local.own_roles
  name               = "${var.name}-worker"
  assume_role_policy = data.aws_iam_policy_document.ecs_tasks.json
}

resource "aws_iam_role_policy" "worker" {
  count  = local.own_roles
  name   = "queues"
  role   = aws_iam_role.worker[0].id
  policy = data.aws_iam_policy_document.worker.json
}

# ---- what ECS may do to start it: pull the image, write the log, read the secret ----

data "aws_iam_policy_document" "execution" {
  statement {
    sid       = "Login"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"]
  }

  statement {
    sid = "Image"
    actions = [
      "ecr:BatchCheckLayerAvailability",
      "ecr:BatchGetImage",
      "ecr:GetDownloadUrlForLayer",
    ]
    resources = [aws_ecr_repository.worker.arn]
  }

  statement {
    sid       = "Log"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.worker.arn}:*"]
  }

  statement {
    sid       = "ResultBackend"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [aws_secretsmanager_secret.result_backend.arn]
  }
}

resource "aws_iam_role" "execution" {
  count              = local.own_roles
  name               = "${var.name}-worker-execution"
  assume_role_policy = data.aws_iam_policy_document.ecs_tasks.json
}

resource "aws_iam_role_policy" "execution" {
  count  = local.own_roles
  name   = "start"
  role   = aws_iam_role.execution[0].id
  policy = data.aws_iam_policy_document.execution.json
}
