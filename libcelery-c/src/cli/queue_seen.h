/* SPDX-License-Identifier: BSD-3-Clause */
/* What a receiver of numbered messages has seen: order and duplicates. */
#ifndef CEL_CLI_QUEUE_SEEN_H
#define CEL_CLI_QUEUE_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SEEN_SENDERS = 64,   /* more of them are not watched for order */
    SEEN_IDS = 4096,     /* so many messages back a duplicate is found */
    SEEN_NUMBERS = 4096, /* of a run; higher ones are not watched for order */
};

struct seen_sender {
    char name[96];   /* what stands before "Message N" */
    int64_t highest; /* of this run; -1 */
    uint64_t numbers[SEEN_NUMBERS / 64];
};

struct seen {
    struct seen_sender senders[SEEN_SENDERS];
    size_t n_senders;
    uint64_t ids[SEEN_IDS]; /* hashes, as a ring */
    uint64_t n_received, n_late, n_again;
};

/* What there is to say of one message. */
struct sight {
    bool again;     /* this id came before */
    int64_t behind; /* a higher number of its sender's run came before: that; else -1 */
};

/* Looks at a message "SENDER: Message 12", or any other text, which has no order. */
struct sight seen_message(struct seen *seen, const char *id, const char *text,
                          size_t len);

#endif
