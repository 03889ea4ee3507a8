#!lua
-- Create a backfill, cancel it, or note that it has ended.
-- KEYS: 1 fence, 2 sequence, 3 backfills, 4 readings
-- ARGV: 1 the poller's token, or '' for an operator, 2 the sequence that the poller knows, or '', 3 id,
--   4 what must be there now ('' nothing), 5 what is there from now on ('' nothing), 6 its reading, or '': the place of
--   that is removed, 7 how many may run: one more is not created
-- RETURNS: 'ok', or without having changed anything 'fenced' (another poller took over), 'astray' (the store is not where
--   the poller left it), 'closed' (the source is being deleted), 'changed' (something else is there) or 'full' (too many
--   run)
-- An operator counts the sequence on, so that a poller at work is astray and begins with what is there now.
-- ATOMIC BECAUSE a backfill that was cancelled must not be noted as done, and its place must not come back. Two that are
-- created at the same time must not both be the last one that may run.
local fence, sequence, backfills, readings = unpack(KEYS)
local token, known, id, before, after, reading, most = unpack(ARGV, 1, 7)
local newest = redis.call('GET', fence) or '0'
if token ~= '' then
  if newest ~= token then return 'fenced' end
  if (redis.call('GET', sequence) or '0') ~= known then return 'astray' end
elseif string.sub(newest, 1, 1) == '-' then
  return 'closed'
end
if (redis.call('HGET', backfills, id) or '') ~= before then return 'changed' end
if before == '' then
  local running = 0
  for _, each in ipairs(redis.call('HVALS', backfills)) do
    -- Inside of a text, its quotes would be escaped.
    if string.find(each, '"state":"running"', 1, true) then running = running + 1 end
  end
  if running >= tonumber(most) then return 'full' end
end
if after == '' then
  redis.call('HDEL', backfills, id)
else
  redis.call('HSET', backfills, id, after)
end
if reading ~= '' then redis.call('HDEL', readings, reading) end
if token == '' then redis.call('INCR', sequence) end
return 'ok'
