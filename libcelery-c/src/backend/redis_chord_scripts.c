/* SPDX-License-Identifier: BSD-3-Clause */
/* The scripts on the keys of chords; redis_chord.c says what these are. */
#include "backend/redis_chord_scripts.h"

/*
 * CHORD_PART_RETURN_LUA, and in the same step what its caller reads next.  A claim that is ours
 * already is given again: the answer to it was lost.  A part that never came before, of a chord that
 * was ended, is of its next run: a fast worker returns it before set_chord_size().  Answer: {CEL_CHORD_...,
 * saved group or false, parts ...}.
 */
struct cel_redis_script cel_redis_part_script = {
    .text =
        "local j, t, s, d, g, c = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]\n"
        "local tid, value, ordered, score = ARGV[1], ARGV[2], ARGV[3] == '1', ARGV[4]\n"
        "local ttl, claim, token = tonumber(ARGV[5]), ARGV[6], ARGV[7]\n"
        "local holder = redis.call('GET', c)\n"
        "if holder == 'done' then\n"
        "  if ARGV[8] == '0' then return {0} end\n"
        "  holder = nil\n"
        "end\n"
        "local member = tid .. ':' .. score\n"
        "if redis.call('SISMEMBER', d, member) == 0 then\n"
        "  if ordered then redis.call('ZADD', j, score, value)\n"
        "  else redis.call('RPUSH', j, value) end\n"
        "  redis.call('SADD', d, member)\n"
        "end\n"
        "local n\n"
        "if ordered then n = redis.call('ZCARD', j) else n = redis.call('LLEN', j) end\n"
        "if ttl > 0 then\n"
        "  for _, key in ipairs({j, t, s, d}) do redis.call('EXPIRE', key, ttl) end\n"
        "  if ARGV[9] ~= '0' then redis.call('EXPIRE', g, ARGV[9]) end\n"
        "end\n"
        "local size = tonumber(redis.call('GET', s) or '')\n"
        "local more = tonumber(redis.call('GET', t) or '') or 0\n"
        "if not size or n ~= size + more then return {0} end\n"
        "if holder and holder ~= token then return {2} end\n"
        "redis.call('SET', c, token, 'EX', claim)\n"
        "local out = {1, redis.call('GET', g)}\n"
        "local parts\n"
        "if ordered then parts = redis.call('ZRANGE', j, 0, -1)\n"
        "else parts = redis.call('LRANGE', j, 0, -1) end\n"
        "for i = 1, #parts do out[i + 2] = parts[i] end\n"
        "return out\n",
};

/* CHORD_CLAIM_EXTEND_LUA. */
struct cel_redis_script cel_redis_keep_script = {
    .text = "local holder = redis.call('GET', KEYS[1])\n"
            "if holder == ARGV[1] then\n"
            "  return redis.call('EXPIRE', KEYS[1], ARGV[2])\n"
            "end\n"
            "if not holder and redis.call('EXISTS', KEYS[2]) == 1 then\n"
            "  redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])\n"
            "  return 1\n"
            "end\n"
            "return 0\n",
};

/*
 * CHORD_CLEANUP_LUA.  A failed chord only loses its size, so that a part that comes again does
 * not fail it again; what was counted is left to expire.
 */
struct cel_redis_script cel_redis_end_script = {
    .text = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end\n"
            "if ARGV[3] == '1' then\n"
            "  redis.call('DEL', KEYS[2])\n"
            "  return 1\n"
            "end\n"
            "redis.call('DEL', KEYS[2], KEYS[3], KEYS[4], KEYS[5])\n"
            "redis.call('SET', KEYS[1], 'done', 'EX', ARGV[2])\n"
            "return 1\n",
};

/*
 * The same, and the messages of the body into their lists in one step.  What was pushed is
 * taken back when a later push is refused (no memory, no permission).
 */
struct cel_redis_script cel_redis_push_script = {
    .text = "local holder = redis.call('GET', KEYS[1])\n"
            "if holder and holder ~= ARGV[1] then return 0 end\n"
            "if not holder and redis.call('EXISTS', KEYS[2]) == 0 then return 0 end\n"
            "local n, own, other = (#ARGV - 4) / 2, ARGV[3], ARGV[4]\n"
            "if own ~= other then redis.call('SELECT', other) end\n"
            "for i = 1, n do\n"
            "  local r = redis.pcall('LPUSH', ARGV[3 + 2 * i], ARGV[4 + 2 * i])\n"
            "  if type(r) == 'table' then\n"
            "    for k = i - 1, 1, -1 do redis.call('LPOP', ARGV[3 + 2 * k]) end\n"
            "    if own ~= other then redis.call('SELECT', own) end\n"
            "    return r\n"
            "  end\n"
            "end\n"
            "if own ~= other then redis.call('SELECT', own) end\n"
            "redis.call('DEL', KEYS[2], KEYS[3], KEYS[4], KEYS[5])\n"
            "redis.call('SET', KEYS[1], 'done', 'EX', ARGV[2])\n"
            "return 1\n",
};

/* set_chord_size(): a chord that is applied again with the same id is a new run. */
struct cel_redis_script cel_redis_size_script = {
    .text = "redis.call('DEL', KEYS[2])\n"
            "if ARGV[2] == '0' then redis.call('SET', KEYS[1], ARGV[1])\n"
            "else redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2]) end\n"
            "return 1\n",
};

/* INCR, once for each token: the note may be made again when its answer was lost. */
struct cel_redis_script cel_redis_grow_script = {
    .text = "if redis.call('SADD', KEYS[2], ARGV[1]) == 0 then return 0 end\n"
            "redis.call('INCR', KEYS[1])\n"
            "if ARGV[2] ~= '0' then\n"
            "  redis.call('EXPIRE', KEYS[1], ARGV[2])\n"
            "  redis.call('EXPIRE', KEYS[2], ARGV[2])\n"
            "end\n"
            "return 1\n",
};
