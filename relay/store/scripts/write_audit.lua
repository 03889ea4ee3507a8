#!lua flags=allow-oom
-- Write an entry of the audit log with its indexes, and drop the oldest entries that are too old or too much.
-- KEYS: 1 entries (hash), 2 their bytes (string), 3 index of all (zset), then the entry's other indexes (zsets);
--   the last key is never there
-- ARGV: 1 the entry ('' none: only drop), 2 ms now, 3 ms that entries are kept, 4 bytes that all may have,
--   5 how many to drop at most
-- RETURNS: the position of the entry ('' none)
-- ATOMIC BECAUSE positions must not be given twice, an index must not name an entry that was never there, and the sum of
-- bytes must fit the entries.
-- An index of something that is not written any more expires with its last entry; one that is written loses the positions
-- of dropped entries here.
local entries, bytes, all = KEYS[1], KEYS[2], KEYS[3]
local entry, now, kept = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local most, at_once = tonumber(ARGV[4]), tonumber(ARGV[5])
local position = ''

if entry ~= '' then
  local last = redis.call('ZRANGE', all, -1, -1)[1] or ''
  position = string.format('%015.0f-000000', now)
  if last >= position then
    local ms, number = string.sub(last, 1, 15), tonumber(string.sub(last, 17)) + 1
    if number > 999999 then ms, number = string.format('%015.0f', tonumber(ms) + 1), 0 end
    position = string.format('%s-%06.0f', ms, number)
  end
  redis.call('HSET', entries, position, entry)
  redis.call('INCRBY', bytes, #entry)
  for i = 3, #KEYS - 1 do
    redis.call('ZADD', KEYS[i], 0, position)
    if i > 3 then redis.call('PEXPIRE', KEYS[i], kept) end
  end
end

local oldest = redis.call('ZRANGE', all, 0, at_once - 1)
local edge = string.format('%015.0f', math.max(0, now - kept))
local total, dropped = tonumber(redis.call('GET', bytes) or '0'), 0
for _, each in ipairs(oldest) do
  if each >= edge and total <= most or each == position then break end
  local size = redis.call('HSTRLEN', entries, each)
  total, dropped = total - size, dropped + 1
  redis.call('HDEL', entries, each)
end
if dropped > 0 then
  redis.call('ZREMRANGEBYRANK', all, 0, dropped - 1)
  redis.call('SET', bytes, string.format('%.0f', total))
end
local first = redis.call('ZRANGE', all, 0, 0)[1]
for i = 4, #KEYS - 1 do
  redis.call('ZREMRANGEBYLEX', KEYS[i], '-', '(' .. first)
end
return position
