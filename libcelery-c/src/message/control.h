/* SPDX-License-Identifier: BSD-3-Clause */
/* Remote control as it travels: commands to workers and their replies (kombu/pidbox.py). */
#ifndef CEL_MESSAGE_CONTROL_H
#define CEL_MESSAGE_CONTROL_H

#include "codec/codec.h"
#include "message/task.h"

/* A command; everything is borrowed from the envelope. */
struct cel_command {
    struct cel_slice method;
    const struct cel_node *arguments;   /* an object, or NULL */
    const struct cel_node *destination; /* an array of node names, or NULL: not by name */
    struct cel_slice pattern;           /* both or none */
    struct cel_slice matcher;           /* "glob" or "pcre" */
    const struct cel_node *ticket;      /* goes back as it came; or NULL */
    bool wants_reply;
    struct cel_slice reply_exchange; /* if wants_reply */
    struct cel_slice reply_key;
    int64_t clock; /* the sender's; 0: unknown */
};

/*
 * The body of a command or a reply, a map; borrowed from the envelope.  Total: CELERY_EMESSAGE,
 * CELERY_ECONTENT, CELERY_ELIMIT with the reason, CELERY_ENOMEM.
 */
celery_status cel_command_decode(struct cel_envelope *env,
                                 const struct cel_call_limits *limits,
                                 struct cel_node **ret_body, celery_error *err);

/*
 * Reads the body and the headers of a command.  Total: CELERY_EMESSAGE, CELERY_ECONTENT,
 * CELERY_ELIMIT with the reason, CELERY_ENOMEM.
 */
celery_status cel_command_read(struct cel_envelope *env,
                               const struct cel_call_limits *limits,
                               struct cel_command *ret, celery_error *err);

/*
 * Whether a command is for the node of that name: by destination, else by pattern, else it is
 * for all.  CELERY_EMESSAGE: its pattern cannot be read, or there is no such matcher.
 */
celery_status cel_command_is_for(const struct cel_command *c, const char *node, bool *ret,
                                 celery_error *err);

/* Python's fnmatch.fnmatchcase(): * ? [seq] [!seq]. */
bool cel_glob_match(struct cel_slice pattern, struct cel_slice text);

/*
 * Python's re.match(): whether a beginning of the text matches, in time that grows with the
 * product of both.  CELERY_EMESSAGE: the pattern is wrong, too large, or not regular (back
 * references, looking around, flags).
 */
celery_status cel_regex_match(struct cel_slice pattern, struct cel_slice text, bool *ret,
                              celery_error *err);

/* {node: value} for the sender of the command, with its ticket (Mailbox._publish_reply). */
celery_status cel_command_reply(const struct cel_command *c, const char *node,
                                const struct cel_node *value, int64_t clock,
                                const struct cel_codec *codec,
                                struct cel_envelope **ret_env, celery_error *err);

#endif
