#!lua flags=allow-oom
-- Move a route's cursor by hand, forwards or backwards, and have it polled from there.
-- KEYS: 1 fence, 2 sequence, 3 route, 4 trail, 5 known_from
-- ARGV: 1 the new cursor, 2 now in ms
-- RETURNS: 'ok', or without having changed anything 'closed' (the source is being deleted)
-- The sequence is counted on, so that a poller at work is astray: it drops its page and begins with the new cursor.
-- ATOMIC BECAUSE a poller that writes between the cursor and the sequence would take the new cursor for its own.
local fence, sequence, route, trail, known_from = unpack(KEYS)
local cursor, now = ARGV[1], ARGV[2]
if string.sub(redis.call('GET', fence) or '0', 1, 1) == '-' then return 'closed' end
redis.call('HSET', route, 'cursor', cursor, 'next_poll_at_ms', 0)
redis.call('HDEL', route, 'anchored', 'held_from', 'held_first', 'held_since', 'caught_up_at_ms', 'books_from')
redis.call('DEL', trail, known_from)
redis.call('ZADD', trail, now, cursor)
redis.call('INCR', sequence)
return 'ok'
