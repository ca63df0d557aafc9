# SPDX-License-Identifier: BSD-3-Clause
# Nobody connects to a worker; it connects to AWS over HTTPS and to its database.
resource "aws_security_group" "worker" {
  name        = "${var.name}-worker"
  description = "Celery worker in C"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_egress_rule" "https" {
  security_group_id = aws_security_group.worker.id
  description       = "SQS, ECR, logs, secrets"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "postgresql" {
  security_group_id            = aws_security_group.worker.id
  description                  = "Results"
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
  cidr_ipv4                    = var.database_security_group_id == "" ? "0.0.0.0/0" : null
  referenced_security_group_id = var.database_security_group_id == "" ? null : var.database_security_group_id
}

resource "aws_vpc_security_group_ingress_rule" "database" {
  count                        = var.database_security_group_id == "" ? 0 : 1
  security_group_id            = var.database_security_group_id
  description                  = "Results of the Celery worker in C"
  referenced_security_group_id = aws_security_group.worker.id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}
