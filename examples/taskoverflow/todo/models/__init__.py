# SPDX-License-Identifier: BSD-3-Clause
from flask_sqlalchemy import SQLAlchemy

db = SQLAlchemy()
