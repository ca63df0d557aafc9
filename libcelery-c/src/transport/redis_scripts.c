/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A Redis at its maxmemory refuses a script's first write if it needs memory, but never a later
 * one.  So each script begins with a write that takes away: what was popped can always be
 * registered, and a full server can be emptied.
 */
#include "transport/redis_scripts.h"

/*
 * A score no one else has: seconds of the server's clock, rounded up so that nothing is
 * taken for older than it is, and counted on if taken.  Whole numbers, because Redis keeps
 * those of a small sorted set as such, and fractions as text to be parsed at every step.
 */
#define TAKE_SCORE                                                                  \
    "local function take_score(held, worker)\n"                                     \
    "  local s = redis.call('TIME')[1] + 1\n"                                       \
    "  while true do\n"                                                             \
    "    local score = string.format('%d', s)\n"                                    \
    "    if redis.call('HSETNX', held, score, worker) == 1 then return score end\n" \
    "    s = s + 1\n"                                                               \
    "  end\n"                                                                       \
    "end\n"

/* The entry of a dead-letter list: one line of JSON, a newline, the bytes as they were. */
#define DEAD_ENTRY                                                                      \
    "local function dead_entry(why, queue, raw)\n"                                      \
    "  local t = redis.call('TIME')\n"                                                  \
    "  return string.format('{\"reason\": %s, \"time\": %d.%06d, \"queue\": %s}\\n',\n" \
    "    cjson.encode(why), t[1], t[2], cjson.encode(queue)) .. raw\n"                  \
    "end\n"

/*
 * KEYS: unacked, index, held, lease, a dead-letter list per queue, then the queue keys in the
 * order to be asked.  ARGV: 1 messages at most, 2 how many to pop at once, 3 bytes at most,
 * 4 bytes of the largest message, 5 entries of a dead-letter list, 6 worker, 7 seconds of the
 * lease or 0, 8 number of queues, 9 "1" if RPOP takes a count, 10 our score or "", then the
 * names of the queues.
 *
 * Answers {score, more, then: the number of a queue key, and what came from it}: a text is a
 * message whose field is the delivery tag at its end; {field, text} a message; {field, length}
 * one that is fetched later, because what is behind it need not wait for all its bytes; {"",
 * text, reason} one that was parked, or of a too large one what may tell its id.
 *
 * kombu's own bytes end in a known way, which saves decoding the message: `mid` is what was
 * between body and delivery tag of the one before, and mostly is again.
 */
/* Longer than C99 promises to take: hence __extension__. */
static const char *const claim = __extension__ TAKE_SCORE DEAD_ENTRY
    "local max, chunk, budget = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])\n"
    "local largest, nq, counted = tonumber(ARGV[4]), tonumber(ARGV[8]), ARGV[9] == '1'\n"
    "local first = 4 + nq\n"
    "local from, popped, total, bytes, more, failure = {}, {}, 0, 0, 0, nil\n"
    "for k = first + 1, #KEYS do\n"
    "  while total < max do\n"
    "    if bytes >= budget then more = 1 break end\n"
    "    local want, got = math.min(chunk, max - total), nil\n"
    "    if counted then\n"
    "      got = redis.pcall('RPOP', KEYS[k], want)\n"
    "    else\n"
    "      got, want = redis.pcall('RPOP', KEYS[k]), 1\n"
    "      if type(got) == 'string' then got = {got} end\n"
    "    end\n"
    "    if not got then break end\n"
    "    if got.err then failure = got break end\n"
    "    from[#from + 1], popped[#popped + 1] = k - first, got\n"
    "    for j = 1, #got do bytes = bytes + #got[j] end\n"
    "    total = total + #got\n"
    "    if #got < want then break end\n"
    "  end\n"
    "end\n"
    "if total == 0 then return failure or {'', more} end\n"
    "local sub, find = string.sub, string.find\n"
    "local mid, reach, suffix\n"
    "local function learn(raw)\n"
    "  local at = find(raw, '\"delivery_info\": {\"exchange\": \"', -400, true)\n"
    "  if not at then return end\n"
    "  local ex, rk, tag = string.match(raw,\n"
    "    '^\"delivery_info\": {\"exchange\": \"([^\"\\\\]*)\", \"routing_key\": \"([^\"\\\\]*)\"[^{}]*}, "
    "' ..\n"
    "    '\"priority\": %w+, \"body_encoding\": [^,{}]+, \"delivery_tag\": \"([^\"\\\\]+)\"}}$', at)\n"
    "  if not tag then return end\n"
    "  local tail = ', \"' .. ex .. '\", \"' .. rk .. '\"]'\n"
    "  if #tag == 36 then\n"
    "    mid = sub(raw, at, -40)\n"
    "    reach, suffix = -39 - #mid, tail\n"
    "  end\n"
    "  return tag, tail\n"
    "end\n"
    "local function decode(raw, q)\n"
    "  local ok, m = pcall(cjson.decode, raw)\n"
    "  local p = ok and type(m) == 'table' and m.properties\n"
    "  local tag = type(p) == 'table' and p.delivery_tag\n"
    "  if type(tag) ~= 'string' or tag == '' then return end\n"
    "  local info = type(p.delivery_info) == 'table' and p.delivery_info or {}\n"
    "  local ex = type(info.exchange) == 'string' and info.exchange or ''\n"
    "  local rk = type(info.routing_key) == 'string' and info.routing_key or ARGV[10 + q]\n"
    "  return tag, ', ' .. cjson.encode(ex) .. ', ' .. cjson.encode(rk) .. ']'\n"
    "end\n"
    /* The headers come behind the body: they tell whose message it was. */
    "local function summary(raw)\n"
    "  local rest = sub(raw, -65536)\n"
    "  local at = find(rest, '\"content-encoding\": ', 1, true)\n"
    "  return at and '{\"body\": \"\", ' .. sub(rest, at) or ''\n"
    "end\n"
    "local score, n, nout, last = '', 0, 2, 0\n"
    "local z, h, out, place, parked = {KEYS[2], 'NX', '0', ''}, {KEYS[1]}, {'', more}, {}, {}\n"
    "local function named()\n"
    "  if ARGV[10] ~= '' and redis.call('HGET', KEYS[3], ARGV[10]) == ARGV[6] then\n"
    "    return ARGV[10]\n"
    "  end\n"
    "  return take_score(KEYS[3], ARGV[6])\n"
    "end\n"
    /* Any message: delivery tag, end of its value, and what is answered. */
    "local function read(raw, key)\n"
    "  local q = (key - 1) % nq + 1\n"
    "  if #raw > largest then\n"
    "    local why = 'larger than ' .. ARGV[4] .. ' bytes'\n"
    "    parked[#parked + 1] = {q, why, raw}\n"
    "    return nil, nil, {'', summary(raw), why}\n"
    "  end\n"
    "  local tag, tail = learn(raw)\n"
    "  if tag then return tag, tail, raw end\n"
    "  tag, tail = decode(raw, q)\n"
    "  if tag then return tag, tail, {tag, raw} end\n"
    "  local why = 'not JSON, or no properties.delivery_tag'\n"
    "  parked[#parked + 1] = {q, why, raw}\n"
    "  return nil, nil, {'', raw, why}\n"
    "end\n"
    "local function register()\n"
    "  score = named()\n"
    "  for s = 1, #popped do\n"
    "    local key, got = from[s], popped[s]\n"
    "    if key ~= last then\n"
    "      nout = nout + 1\n"
    "      out[nout] = key - 1\n"
    "      last = key\n"
    "    end\n"
    "    for j = 1, #got do\n"
    "      local raw = got[j]\n"
    "      local tag, tail, entry\n"
    "      if mid and find(raw, mid, reach, true) == #raw + reach + 1 and\n"
    "          find(raw, '\"', -39, true) == #raw - 2 and #raw <= largest then\n"
    "        tag, tail, entry = sub(raw, -39, -4), suffix, raw\n"
    "      else\n"
    "        tag, tail, entry = read(raw, key)\n"
    "      end\n"
    "      nout = nout + 1\n"
    "      out[nout] = entry\n"
    "      if tag then\n"
    "        n = n + 1\n"
    "        z[2 * n + 3], z[2 * n + 4] = score, tag\n"
    "        h[2 * n], h[2 * n + 1] = tag, '[' .. raw .. tail\n"
    "        place[n] = nout\n"
    "      end\n"
    "    end\n"
    "  end\n"
    "  if n == 0 then return end\n"
    "  if ARGV[7] ~= '0' then redis.call('SET', KEYS[4], '1', 'EX', ARGV[7]) end\n"
    /*
     * Every look-up in a small sorted set goes through a list.  A member longer than 64 bytes
     * turns it into a tree for as long as it is not empty.
     */
    "  z[3] = score\n"
    "  z[4] = n > 2 and string.rep('-', 65) or z[6]\n"
    "  local added = redis.call('ZADD', unpack(z))\n"
    "  if n > 2 then added = added - redis.call('ZREM', KEYS[2], z[4]) end\n"
    /* Two messages with one tag are both kept, the later one under a field of its own. */
    "  if added < n then\n"
    "    local taken = {}\n"
    "    for j = 1, n do\n"
    "      local tag = z[2 * j + 4]\n"
    "      if taken[tag] or redis.call('HEXISTS', KEYS[1], tag) == 1 or\n"
    "          redis.call('ZSCORE', KEYS[2], tag) ~= score then\n"
    "        local at, k, field = place[j], 0, nil\n"
    "        repeat\n"
    "          k = k + 1\n"
    "          field = tag .. '/' .. score .. '/' .. k\n"
    "        until redis.call('ZADD', KEYS[2], 'NX', score, field) == 1\n"
    "        h[2 * j] = field\n"
    "        out[at] = {field, type(out[at]) == 'table' and out[at][2] or out[at]}\n"
    "      end\n"
    "      taken[tag] = true\n"
    "    end\n"
    "  end\n"
    "  redis.call('HSET', unpack(h))\n"
    "end\n"
    "local ok, why = pcall(register)\n"
    "if not ok then\n"
    "  if score ~= ARGV[10] then redis.pcall('HDEL', KEYS[3], score) end\n"
    "  for j = 1, n do\n"
    "    if redis.pcall('HEXISTS', KEYS[1], h[2 * j]) ~= 1 then\n"
    "      redis.pcall('ZREM', KEYS[2], h[2 * j])\n"
    "    end\n"
    "  end\n"
    "  for s = #popped, 1, -1 do\n"
    "    for j = #popped[s], 1, -1 do redis.call('RPUSH', KEYS[first + from[s]], "
    "popped[s][j]) end\n"
    "  end\n"
    "  return redis.error_reply(type(why) == 'table' and why.err or tostring(why))\n"
    "end\n"
    "for _, p in ipairs(parked) do\n"
    "  redis.call('LPUSH', KEYS[4 + p[1]], dead_entry(p[2], ARGV[10 + p[1]], p[3]))\n"
    "  redis.call('LTRIM', KEYS[4 + p[1]], 0, tonumber(ARGV[5]) - 1)\n"
    "end\n"
    "if n > 0 then out[1] = score end\n"
    "if bytes > 1048576 then\n"
    "  for j = 1, n do\n"
    "    local it = out[place[j]]\n"
    "    local raw = type(it) == 'table' and it[2] or it\n"
    "    if #raw > 1048576 then out[place[j]] = {h[2 * j], #raw} end\n"
    "  end\n"
    "end\n"
    "return out\n";

/*
 * Behind the HSET of the value, in one transaction: a script that were given it would hash all
 * of its bytes.  KEYS: unacked, index, held, lease, where to push, then the keys of all queues
 * that are read.  ARGV: 1 field, 2 where the message ends in its value, 3 worker, 4 seconds of
 * the lease or 0, 5 our score or "".  While all queues are empty a message is held at once, as
 * a claim right behind its push would do; what waits goes first.  Answers the score, or "" if
 * the message was pushed.
 */
static const char take[] = TAKE_SCORE
    "if redis.call('EXISTS', unpack(KEYS, 6)) > 0 then\n"
    "  local value = redis.call('HGET', KEYS[1], ARGV[1])\n"
    "  redis.call('HDEL', KEYS[1], ARGV[1])\n"
    "  redis.call('LPUSH', KEYS[5], string.sub(value, 2, tonumber(ARGV[2])))\n"
    "  return ''\n"
    "end\n"
    "local score = ARGV[5]\n"
    "if score == '' or redis.call('HGET', KEYS[3], score) ~= ARGV[3] then\n"
    "  score = take_score(KEYS[3], ARGV[3])\n"
    "end\n"
    "redis.call('ZADD', KEYS[2], score, ARGV[1])\n"
    "if ARGV[4] ~= '0' then redis.call('SET', KEYS[4], '1', 'EX', ARGV[4]) end\n"
    "return score\n";

/*
 * KEYS: unacked, index, held, lease.  ARGV: 1 "1" if there is ZMSCORE, 2 worker, 3 "1" to
 * give the lease up, 4 number of deliveries, then runs of them: their score, how many, how
 * many the index should have by that score, their fields; then scores that nothing is held by
 * any more.  Answers a text with 1 for each delivery that was still held by that score and is
 * gone now, 0 for the others.
 *
 * A score belongs to one worker, so if as many have it as that worker should hold, these are
 * among them, and none needs to be asked for by itself.
 */
static const char *const settle =
    __extension__ "local zmscore, left, at, answer = ARGV[1] == '1', tonumber(ARGV[4]), 5, ''\n"
                  "local function all_held(score, first, last, now)\n"
                  "  if zmscore then\n"
                  "    now = redis.call('ZMSCORE', KEYS[2], unpack(ARGV, first, last))\n"
                  "  else\n"
                  "    for i = first, last do\n"
                  "      now[#now + 1] = redis.call('ZSCORE', KEYS[2], ARGV[i])\n"
                  "    end\n"
                  "  end\n"
                  "  for i = 1, last - first + 1 do\n"
                  "    if now[i] ~= score then return false, now end\n"
                  "  end\n"
                  "  return true\n"
                  "end\n"
                  "local function some(score, first, last, now)\n"
                  "  local ours, text = {}, {}\n"
                  "  for i = first, last do\n"
                  "    local it = now[i - first + 1]\n"
                  "    local mine = it and tonumber(it) == tonumber(score)\n"
                  "    if mine then ours[#ours + 1] = ARGV[i] end\n"
                  "    text[#text + 1] = mine and '1' or '0'\n"
                  "  end\n"
                  "  if #ours > 0 then\n"
                  "    redis.call('ZREM', KEYS[2], unpack(ours))\n"
                  "    redis.call('HDEL', KEYS[1], unpack(ours))\n"
                  "  end\n"
                  "  return table.concat(text)\n"
                  "end\n"
                  "while left > 0 do\n"
                  "  local score, n, most = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])\n"
                  "  local first, last, now = at + 3, at + 2 + n, {}\n"
                  "  local all = most > 0 and redis.call('ZCOUNT', KEYS[2], score, score) == most\n"
                  "  if not all then all, now = all_held(score, first, last, now) end\n"
                  "  if all then\n"
                  "    redis.call('ZREM', KEYS[2], unpack(ARGV, first, last))\n"
                  "    redis.call('HDEL', KEYS[1], unpack(ARGV, first, last))\n"
                  "    answer = answer .. string.rep('1', n)\n"
                  "  else\n"
                  "    answer = answer .. some(score, first, last, now)\n"
                  "  end\n"
                  "  at, left = last + 1, left - n\n"
                  "end\n"
                  "for i = at, #ARGV do\n"
                  "  if redis.call('HGET', KEYS[3], ARGV[i]) == ARGV[2] and\n"
                  "      redis.call('ZCOUNT', KEYS[2], ARGV[i], ARGV[i]) == 0 then\n"
                  "    redis.call('HDEL', KEYS[3], ARGV[i])\n"
                  "  end\n"
                  "end\n"
                  "if ARGV[3] == '1' then redis.call('DEL', KEYS[4]) end\n"
                  "return answer\n";

/*
 * KEYS: unacked, index.  ARGV: field, its score, LPUSH or RPUSH, text, the keys it goes to.
 * Answers 1, or 0 if the score is another by now.
 */
static const char move[] =
    "local score = redis.call('ZSCORE', KEYS[2], ARGV[1])\n"
    "if not score or tonumber(score) ~= tonumber(ARGV[2]) then return 0 end\n"
    "for i = 5, #ARGV do\n"
    "  local kind = redis.call('TYPE', ARGV[i]).ok\n"
    "  if kind ~= 'list' and kind ~= 'none' then\n"
    "    return redis.error_reply('WRONGTYPE ' .. ARGV[i] .. ' is no list')\n"
    "  end\n"
    "end\n"
    "redis.call('ZREM', KEYS[2], ARGV[1])\n"
    "redis.call('HDEL', KEYS[1], ARGV[1])\n"
    "for i = 5, #ARGV do redis.call(ARGV[3], ARGV[i], ARGV[4]) end\n"
    "return 1\n";

/*
 * KEYS: unacked, index, dead-letter list.  ARGV: field, its score, bytes of the message, reason,
 * queue, entries at most.
 */
static const char park[] = DEAD_ENTRY
    "local score = redis.call('ZSCORE', KEYS[2], ARGV[1])\n"
    "if not score or tonumber(score) ~= tonumber(ARGV[2]) then return 0 end\n"
    "local kind = redis.call('TYPE', KEYS[3]).ok\n"
    "if kind ~= 'list' and kind ~= 'none' then\n"
    "  return redis.error_reply('WRONGTYPE ' .. KEYS[3] .. ' is no list')\n"
    "end\n"
    "local raw = redis.call('HGET', KEYS[1], ARGV[1])\n"
    "redis.call('ZREM', KEYS[2], ARGV[1])\n"
    "redis.call('HDEL', KEYS[1], ARGV[1])\n"
    "if raw then\n"
    "  local entry = dead_entry(ARGV[4], ARGV[5], string.sub(raw, 2, 1 + tonumber(ARGV[3])))\n"
    "  redis.call('LPUSH', KEYS[3], entry)\n"
    "  redis.call('LTRIM', KEYS[3], 0, tonumber(ARGV[6]) - 1)\n"
    "end\n"
    "return 1\n";

/*
 * Behind the LPUSH of an entry that was made elsewhere, in one transaction: a script that were
 * given it would hash all of its bytes.  KEYS: as above.  ARGV: field, its score, entries at most.
 */
static const char lay[] =
    "local kind = redis.call('TYPE', KEYS[3]).ok\n"
    "if kind ~= 'list' then\n"
    "  return redis.error_reply('WRONGTYPE ' .. KEYS[3] .. ' is no list')\n"
    "end\n"
    "local score = redis.call('ZSCORE', KEYS[2], ARGV[1])\n"
    "if not score or tonumber(score) ~= tonumber(ARGV[2]) then\n"
    "  redis.call('LTRIM', KEYS[3], 1, -1)\n"
    "  return 0\n"
    "end\n"
    "redis.call('ZREM', KEYS[2], ARGV[1])\n"
    "redis.call('HDEL', KEYS[1], ARGV[1])\n"
    "redis.call('LTRIM', KEYS[3], 0, tonumber(ARGV[3]) - 1)\n"
    "return 1\n";

/*
 * KEYS: unacked, index.  ARGV: field, its score, seconds from now, visibility_timeout.  Whoever
 * restores what is older than that, kombu too, puts the message back then.  Half a second
 * on its score keeps it apart from those that worker's have.
 */
static const char defer[] =
    "redis.call('HDEL', KEYS[1], '')\n"
    "local score = redis.call('ZSCORE', KEYS[2], ARGV[1])\n"
    "if not score or tonumber(score) ~= tonumber(ARGV[2]) then return 0 end\n"
    "local s = math.floor(redis.call('TIME')[1] + ARGV[3] - ARGV[4])\n"
    "redis.call('ZADD', KEYS[2], 'XX', string.format('%d.5', math.max(s, 0)), ARGV[1])\n"
    "return 1\n";

/*
 * KEYS: index, starts of this message.  ARGV: field, its score, most, by whom, seconds to keep.
 * Answers how many starts were counted before, or -1 if the score is another by now.
 */
static const char start[] =
    "redis.call('HDEL', KEYS[2], '')\n"
    "local score = redis.call('ZSCORE', KEYS[1], ARGV[1])\n"
    "if not score or tonumber(score) ~= tonumber(ARGV[2]) then return -1 end\n"
    "local n = tonumber(redis.call('HGET', KEYS[2], 'n') or 0) or 0\n"
    "if redis.call('HGET', KEYS[2], 'by') == ARGV[4] then return n - 1 end\n"
    "if n < tonumber(ARGV[3]) then\n"
    "  redis.call('HSET', KEYS[2], 'n', n + 1, 'by', ARGV[4])\n"
    "  redis.call('EXPIRE', KEYS[2], ARGV[5])\n"
    "end\n"
    "return n\n";

/*
 * KEYS: index, held, lease.  ARGV: worker, seconds of the lease, then field and score of each
 * delivery; "?" for one whose score is not known since a renewal was not answered, which is ours
 * if its score is.  All that is ours moves to one new score.  Answers {it, text of 1 and 0}.
 */
static const char renew[] =
    TAKE_SCORE "redis.call('HDEL', KEYS[2], '')\n"
               "redis.call('SET', KEYS[3], '1', 'EX', ARGV[2])\n"
               "local function is_ours(score, known)\n"
               "  if not score then return false end\n"
               "  if known ~= '?' then return tonumber(score) == tonumber(known) end\n"
               "  return redis.call('HGET', KEYS[2], score) == ARGV[1]\n"
               "end\n"
               "local z, answer = {}, {}\n"
               "for i = 3, #ARGV, 2 do\n"
               "  if is_ours(redis.call('ZSCORE', KEYS[1], ARGV[i]), ARGV[i + 1]) then\n"
               "    z[#z + 1] = ARGV[i]\n"
               "    answer[#answer + 1] = '1'\n"
               "  else\n"
               "    answer[#answer + 1] = '0'\n"
               "  end\n"
               "end\n"
               "local score = ''\n"
               "if #z > 0 then\n"
               "  local args = {KEYS[1], 'XX'}\n"
               "  score = take_score(KEYS[2], ARGV[1])\n"
               "  for _, field in ipairs(z) do\n"
               "    args[#args + 1] = score\n"
               "    args[#args + 1] = field\n"
               "  end\n"
               "  redis.call('ZADD', unpack(args))\n"
               "end\n"
               "return {score, table.concat(answer)}\n";

/*
 * KEYS: held.  ARGV: front of the lease keys, our id, scores of others at most.  Answers two
 * lists: scores whose worker has no lease, and all that are ours.
 */
static const char orphans[] =
    "local all, alive, dead, ours = redis.call('HGETALL', KEYS[1]), {}, {}, {}\n"
    "for i = 1, #all, 2 do\n"
    "  local worker = all[i + 1]\n"
    "  if alive[worker] == nil then\n"
    "    alive[worker] = redis.call('EXISTS', ARGV[1] .. worker) == 1\n"
    "  end\n"
    "  if worker == ARGV[2] then\n"
    "    ours[#ours + 1] = all[i]\n"
    "  elseif not alive[worker] and #dead < tonumber(ARGV[3]) then\n"
    "    dead[#dead + 1] = all[i]\n"
    "  end\n"
    "end\n"
    "return {dead, ours}\n";

/*
 * KEYS: unacked, index, held, mutex.  ARGV: seconds or "", entries at most, bytes at most,
 * front of the lease keys, our id, scores.  While kombu has the mutex, what is old is left to
 * it; it is not taken here, because an entry is moved in one step and a killed worker would
 * leave it locked.  Answers field, score and value of what is older than so many seconds, or
 * has one of these scores.  Forgets scores nothing has any more, and fields without a value, which an
 * orderly shutdown of kombu leaves in the index (redis.py _restore).
 */
static const char fetch[] =
    "local n, budget, out = tonumber(ARGV[2]), tonumber(ARGV[3]), {}\n"
    "local function add(list)\n"
    "  for i = 1, #list, 2 do\n"
    "    local value = redis.call('HGET', KEYS[1], list[i])\n"
    "    if not value then\n"
    "      redis.call('ZREM', KEYS[2], list[i])\n"
    "    elseif budget > 0 then\n"
    "      out[#out + 1] = list[i]\n"
    "      out[#out + 1] = list[i + 1]\n"
    "      out[#out + 1] = value\n"
    "      budget = budget - #value\n"
    "      n = n - 1\n"
    "    end\n"
    "  end\n"
    "end\n"
    "if ARGV[1] ~= '' and redis.call('EXISTS', KEYS[4]) == 0 then\n"
    "  local t = redis.call('TIME')\n"
    "  local old = string.format('%.6f', t[1] + t[2] / 1000000 - tonumber(ARGV[1]))\n"
    "  add(redis.call('ZREVRANGEBYSCORE', KEYS[2], old, 0, 'WITHSCORES', 'LIMIT', 0, n))\n"
    "end\n"
    "for i = 6, #ARGV do\n"
    "  if n <= 0 or budget <= 0 then break end\n"
    /* Another's worker may have given a sign of life meanwhile. */
    "  local worker = redis.call('HGET', KEYS[3], ARGV[i])\n"
    "  if not worker or worker == ARGV[5] or redis.call('EXISTS', ARGV[4] .. worker) == "
    "0 then\n"
    "    local list = redis.call('ZRANGEBYSCORE', KEYS[2], ARGV[i], ARGV[i], "
    "'WITHSCORES', 'LIMIT', 0, n)\n"
    "    if #list == 0 then redis.call('HDEL', KEYS[3], ARGV[i]) end\n"
    "    add(list)\n"
    "  end\n"
    "end\n"
    "return out\n";

void cel_redis_scripts_init(struct cel_redis_scripts *s)
{
    *s = (struct cel_redis_scripts){
        .claim = {.text = claim},
        .take = {.text = take},
        .settle = {.text = settle},
        .move = {.text = move},
        .park = {.text = park},
        .lay = {.text = lay},
        .defer = {.text = defer},
        .start = {.text = start},
        .renew = {.text = renew},
        .orphans = {.text = orphans},
        .fetch = {.text = fetch},
    };
}
