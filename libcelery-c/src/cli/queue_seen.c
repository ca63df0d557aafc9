/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/queue_seen.h"

#include <stdio.h>
#include <string.h>

static uint64_t hash(const char *text)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a */

    for (; *text; text++) {
        h = (h ^ (unsigned char)*text) * 1099511628211u;
    }
    return h ? h : 1; /* 0 is an empty place */
}

static bool came_before(struct seen *seen, const char *id)
{
    uint64_t h = hash(id);

    for (size_t i = 0; i < SEEN_IDS; i++) {
        if (seen->ids[i] == h) {
            return true;
        }
    }
    seen->ids[(seen->n_received - seen->n_again) % SEEN_IDS] = h;
    return false;
}

/* The number at the end, and how long the text before "Message" is; -1: there is none. */
static int64_t number_of(const char *text, size_t len, size_t *ret_sender)
{
    static const char word[] = "Message ";
    size_t digits = len;
    int64_t number = 0;

    while (digits > 0 && text[digits - 1] >= '0' && text[digits - 1] <= '9') {
        digits--;
    }
    if (digits == len || len - digits > 15 || digits < sizeof word - 1 ||
        memcmp(text + digits - (sizeof word - 1), word, sizeof word - 1) != 0) {
        return -1;
    }
    for (size_t i = digits; i < len; i++) {
        number = number * 10 + (text[i] - '0');
    }
    *ret_sender = digits - (sizeof word - 1);
    return number;
}

/* NULL: there are too many of them. */
static struct seen_sender *sender_of(struct seen *seen, const char *text, size_t len)
{
    char name[sizeof seen->senders[0].name];

    snprintf(name, sizeof name, "%.*s", (int)(len < sizeof name ? len : sizeof name - 1),
             text);
    for (size_t i = 0; i < seen->n_senders; i++) {
        if (strcmp(seen->senders[i].name, name) == 0) {
            return &seen->senders[i];
        }
    }
    if (seen->n_senders == SEEN_SENDERS) {
        return NULL;
    }
    struct seen_sender *s = &seen->senders[seen->n_senders++];
    memcpy(s->name, name, sizeof name);
    s->highest = -1;
    return s;
}

/* A number that the sender has sent already begins another run of it. */
static void next_run(struct seen_sender *s, int64_t number)
{
    if (s->numbers[number / 64] >> (number % 64) & 1) {
        memset(s->numbers, 0, sizeof s->numbers);
        s->highest = -1;
    }
    s->numbers[number / 64] |= (uint64_t)1 << (number % 64);
}

struct sight seen_message(struct seen *seen, const char *id, const char *text, size_t len)
{
    struct sight sight = {.again = came_before(seen, id), .behind = -1};
    size_t sender_len = 0;
    int64_t number = sight.again ? -1 : number_of(text, len, &sender_len);
    struct seen_sender *sender =
        number < 0 || number >= SEEN_NUMBERS ? NULL : sender_of(seen, text, sender_len);

    if (sender) {
        next_run(sender, number);
        if (number < sender->highest) {
            sight.behind = sender->highest;
            seen->n_late++;
        } else {
            sender->highest = number;
        }
    }
    seen->n_again += sight.again;
    seen->n_received++;
    return sight;
}
