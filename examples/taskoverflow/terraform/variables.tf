# SPDX-License-Identifier: BSD-3-Clause
variable "region" {
  description = "Where everything is; the Learner Lab has us-east-1."
  type        = string
  default     = "us-east-1"
}

variable "name" {
  description = "Goes in front of the names of all resources but the queues."
  type        = string
  default     = "taskoverflow"
}

variable "queue_name" {
  description = "CELERY_DEFAULT_QUEUE of the application and of the worker."
  type        = string
  default     = "ical"
}

variable "visibility_timeout" {
  description = "Seconds for which a received message is invisible to others. The worker in C asks for its own and renews it for all that it holds; a Python worker has this one."
  type        = number
  default     = 300

  validation {
    condition     = var.visibility_timeout >= 60 && var.visibility_timeout <= 43200
    error_message = "Between 60 and 43200 seconds: SQS allows twelve hours, and a worker needs time to renew."
  }
}

variable "max_receive_count" {
  description = "Deliveries after which a message goes to the dead letters."
  type        = number
  default     = 5
}

variable "worker_image" {
  description = "The image of the worker, ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME:TAG; empty: latest of the repository that is made here."
  type        = string
  default     = ""
}

variable "worker_count" {
  description = "How many workers run."
  type        = number
  default     = 1
}

variable "worker_architecture" {
  description = "X86_64, or ARM64 where the image was built on a machine with Apple silicon."
  type        = string
  default     = "X86_64"

  validation {
    condition     = contains(["X86_64", "ARM64"], var.worker_architecture)
    error_message = "X86_64 or ARM64."
  }
}

variable "result_backend" {
  description = "CELERY_RESULT_BACKEND of worker and application, db+postgresql://USER:PASSWORD@HOST:5432/todo?sslmode=require, or with a certificate (protocol-docs/rds.md); kept as a secret."
  type        = string
  sensitive   = true
}

variable "vpc_id" {
  description = "The network of the worker."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets of that network with a way to SQS: public ones, or private ones with NAT or VPC endpoints."
  type        = list(string)
}

variable "assign_public_ip" {
  description = "True in public subnets; false behind NAT or with VPC endpoints."
  type        = bool
  default     = true
}

variable "database_security_group_id" {
  description = "Security group of the RDS database, which is opened to the worker; empty: it is open already."
  type        = string
  default     = ""
}

variable "existing_role_arn" {
  description = "A role that takes the place of those made here, where roles cannot be made: LabRole of the Learner Lab."
  type        = string
  default     = ""
}
