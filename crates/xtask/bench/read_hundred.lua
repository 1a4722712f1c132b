-- Reads of 100 random entities on Feast's path, for wrk.
dofile(debug.getinfo(1, "S").source:match("^@(.*/)") .. "figures.lua")

wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"

function request()
  local keys = {}
  for at = 1, 100 do keys[at] = math.random(0, 9999) end
  return wrk.format(nil, nil, nil, '{"feature_service": "fs_0", "entities": {"entity": [' .. table.concat(keys, ",") .. "]}}")
end
