#!lua flags=allow-oom
-- Remove some keys of a source that is closed.
-- KEYS: 1 fence, 2 how far the look for what is left has come
-- ARGV: 1 the mark of the closed source, 2 how far that is now ('' as before), then names of keys, 1,000 at most
-- RETURNS: how many there were, or -1 when the source is not closed, or not for this deletion
-- ATOMIC BECAUSE a worker that slept must not remove what belongs to another source of that name.
local fence, progress = KEYS[1], KEYS[2]
local mark, at = ARGV[1], ARGV[2]
if redis.call('GET', fence) ~= mark then return -1 end
if at == '0' then
  redis.call('DEL', progress)
elseif at ~= '' then
  redis.call('SET', progress, at)
end
return #ARGV > 2 and redis.call('UNLINK', unpack(ARGV, 3)) or 0
