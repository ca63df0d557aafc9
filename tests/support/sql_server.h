/* SPDX-License-Identifier: BSD-3-Clause */
/* Private database servers for tests, by databases.py. */
#ifndef SUPPORT_SQL_SERVER_H
#define SUPPORT_SQL_SERVER_H

struct sql_server;

/* "postgresql" or "mysql"; NULL: it is not installed (*ret_skip), or does not start. */
struct sql_server *sql_server_start(const char *kind, int *ret_skip);
struct sql_server *sql_server_stop(struct sql_server *server); /* returns NULL */

/* "kill", "start", or "drop": closes the connections of everybody; 0: done. */
int sql_server_do(struct sql_server *server, const char *what);

const char *sql_server_url(const struct sql_server *server); /* db+postgresql://... */

#endif
