#!lua flags=allow-oom
-- Write into the books what became of deliveries that nobody works on any more.
-- KEYS: 1 blocks of the books
-- ARGV: 1 the source's prefix, 2 events in a block, 3 state, then for each delivery {endpoint, number of the event}
-- RETURNS: how many deliveries were named
-- ATOMIC BECAUSE a block may be shed between the look and the write, and must not come back.
local prefix, block_size, state = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
-- SHARED: books
for i = 4, #ARGV, 2 do note(ARGV[i], tonumber(ARGV[i + 1]), state) end
write_books()
return (#ARGV - 3) / 2
