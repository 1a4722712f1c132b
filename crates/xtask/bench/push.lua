-- Pushes of one row of a random entity, each newer than the last, for wrk.
dofile(debug.getinfo(1, "S").source:match("^@(.*/)") .. "figures.lua")

wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"

local columns = {}
for column = 0, 9 do columns[#columns + 1] = string.format('"f_%d": [%d]', column, 1000 + column) end
columns = table.concat(columns, ", ")
-- Seconds; a month ago, so that no push is of the future.
local time = os.time() - 30 * 86400

function request()
  time = time + 1
  local at = os.date("!%Y-%m-%dT%H:%M:%SZ", time)
  return wrk.format(nil, nil, nil, string.format(
    '{"rows": {"entity": [%d], "event_timestamp": ["%s"], %s}}', math.random(0, 9999), at, columns))
end
