#!lua flags=allow-oom
-- Close a source that was deleted: nobody polls it from now on, and what is kept of it may go.
-- KEYS: 1 fence, 2 lease
-- ARGV: 1 the mark of a closed source, `-{version of its deletion}`, 2 what the fence was when that deletion was pending
--   ('' nothing)
-- RETURNS: 1, or 0 when the fence has moved since: look again whether the deletion is pending
-- ATOMIC BECAUSE a worker that slept must not close another source of that name, which was made since.
local fence, lease = KEYS[1], KEYS[2]
local mark, seen = ARGV[1], ARGV[2]
local standing = redis.call('GET', fence) or ''
if standing == mark then return 1 end
if standing ~= seen then return 0 end
redis.call('SET', fence, mark)
redis.call('DEL', lease)
return 1
