#!lua flags=allow-oom
-- Note how far the furthest route of an id space is, so that it can be asked later how far it was at a time.
-- KEYS: 1 marks, then the routes of the space; the last is never there
-- ARGV: 1 for how many ms marks are kept
-- RETURNS: how many marks there are
-- ATOMIC BECAUSE a source that is being deleted must not get a mark again: it has no route any more.
-- Marks get fewer with their age: one goes when its neighbours are closer than a tenth of their age. Two hundred or so
-- last for years.
local marks = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local furthest = ''
for i = 2, #KEYS - 1 do
  local cursor = redis.call('HGET', KEYS[i], 'cursor') or ''
  if #cursor > #furthest or (#cursor == #furthest and cursor > furthest) then furthest = cursor end
end
if furthest == '' then return 0 end
redis.call('ZADD', marks, 'NX', string.format('%.0f', now), furthest)

local found = redis.call('ZRANGE', marks, 0, -1, 'WITHSCORES')
local last -- The ms of the newest one before that stays.
for i = 1, #found, 2 do
  local at, following = tonumber(found[i + 1]), tonumber(found[i + 3])
  local outlived = following and following < now - ARGV[1]
  local close = last and following and following - last < (now - following) / 10
  if outlived or close then
    redis.call('ZREM', marks, found[i])
  else
    last = at
  end
end
return redis.call('ZCARD', marks)
