#!lua flags=allow-oom
-- Have a route continue from its low-water mark, unless it is behind that already.
-- KEYS: 1 fence, 2 sequence, 3 route, 4 trail, 5 known_from
-- ARGV: 1 the cursor ('' the route has not begun), 2 now in ms, then fields and values of its state, for a route that
--   has no cursor
-- RETURNS: 1, or 0 without having changed anything: the route is not in front of the mark, or its source is closed
-- The sequence is counted on, so that a poller at work is astray: it drops its page and begins with the new cursor.
-- ATOMIC BECAUSE a poller that writes between the look at the cursor and the write would move it, and be overtaken.
local fence, sequence, route, trail, known_from = unpack(KEYS)
local cursor, now = ARGV[1], ARGV[2]
if string.sub(redis.call('GET', fence) or '0', 1, 1) == '-' then return 0 end
local standing = redis.call('HGET', route, 'cursor')
if standing and (cursor == '' or #standing < #cursor or (#standing == #cursor and standing <= cursor)) then return 0 end
if not standing and #ARGV > 2 then redis.call('HSET', route, unpack(ARGV, 3)) end
redis.call('HSET', route, 'next_poll_at_ms', 0)
redis.call('HDEL', route, 'anchored', 'held_from', 'held_first', 'held_since', 'caught_up_at_ms')
redis.call('DEL', trail, known_from)
if cursor ~= '' then
  -- Rows behind the mark get events from now on, so the books have them.
  local from = redis.call('HGET', route, 'books_from')
  if from and (#from > #cursor or (#from == #cursor and from > cursor)) then
    redis.call('HSET', route, 'books_from', cursor)
  end
  redis.call('HSET', route, 'cursor', cursor)
  redis.call('ZADD', trail, now, cursor)
end
redis.call('INCR', sequence)
return 1
