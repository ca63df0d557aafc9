# SPDX-License-Identifier: BSD-3-Clause
# The worker: an image, a cluster, a task definition, a service without a load balancer.
locals {
  image = var.worker_image != "" ? var.worker_image : "${aws_ecr_repository.worker.repository_url}:latest"
}

resource "aws_ecr_repository" "worker" {
  name         = "${var.name}-worker"
  force_delete = true
}

resource "aws_cloudwatch_log_group" "worker" {
  name              = "/ecs/${var.name}-worker"
  retention_in_days = 14
}

# The URL has the password of the database: a secret, not an environment variable.
resource "aws_secretsmanager_secret" "result_backend" {
  name_prefix             = "${var.name}-result-backend-"
  recovery_window_in_days = 0
}

resource "aws_secretsmanager_secret_version" "result_backend" {
  secret_id     = aws_secretsmanager_secret.result_backend.id
  secret_string = var.result_backend
}

resource "aws_ecs_cluster" "taskoverflow" {
  name = var.name
}

resource "aws_ecs_task_definition" "worker" {
  family                   = "${var.name}-worker"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = 256
  memory                   = 512
  execution_role_arn       = local.execution_role_arn
  task_role_arn            = local.task_role_arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.worker_architecture
  }

  container_definitions = jsonencode([
    {
      name                   = "worker"
      image                  = local.image
      essential              = true
      readonlyRootFilesystem = true
      # Fargate's longest. The worker's own deadline leaves it 6 seconds to give messages back.
      stopTimeout = 120
      command     = ["celery", "--app", "todo.tasks.ical", "worker", "--loglevel=info"]
      environment = [
        { name = "CELERY_BROKER_URL", value = "sqs://" },
        { name = "CELERY_DEFAULT_QUEUE", value = aws_sqs_queue.ical.name },
        { name = "CELERY_WORKER_SHUTDOWN_TIMEOUT", value = "114" },
        { name = "AWS_DEFAULT_REGION", value = var.region },
        { name = "ICAL_PRESET", value = "lenient" },
      ]
      secrets = [
        { name = "CELERY_RESULT_BACKEND", valueFrom = aws_secretsmanager_secret.result_backend.arn },
      ]
      # ECS does not look at HEALTHCHECK of the image.
      healthCheck = {
        command     = ["CMD", "celery", "health"]
        interval    = 30
        timeout     = 5
        retries     = 3
        startPeriod = 30
      }
      logConfiguration = {
        logDriver = "awslogs"
        options = {
          "awslogs-group"         = aws_cloudwatch_log_group.worker.name
          "awslogs-region"        = var.region
          "awslogs-stream-prefix" = "worker"
        }
      }
    },
  ])
}

resource "aws_ecs_service" "worker" {
  name            = "${var.name}-worker"
  cluster         = aws_ecs_cluster.taskoverflow.id
  task_definition = aws_ecs_task_definition.worker.arn
  launch_type     = "FARGATE"
  desired_count   = var.worker_count

  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = [aws_security_group.worker.id]
    assign_public_ip = var.assign_public_ip
  }

  # A version that does not come up is taken back.
  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  # The secret has a value before a container asks for it, and the roles have their rights.
  depends_on = [
    aws_secretsmanager_secret_version.result_backend,
    aws_iam_role_policy.worker,
    aws_iam_role_policy.execution,
  ]
}
