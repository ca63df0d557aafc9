# SPDX-License-Identifier: BSD-3-Clause
# Section 7 of the practical: the queues of the calendar, and the worker in C on ECS.
terraform {
  required_version = ">= 1.5"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0, < 7.0"
    }
  }
}

# Credentials are found as by the aws command: environment, ~/.aws/credentials, a role.
provider "aws" {
  region = var.region

  default_tags {
    tags = {
      application = var.name
    }
  }
}
