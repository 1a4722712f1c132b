"""Prints how many bytes a request is answered with: answer_bytes.py URL BODY"""

import sys
import urllib.request

url, body = sys.argv[1:]
request = urllib.request.Request(url, body.encode(), {"content-type": "application/json"})
with urllib.request.urlopen(request, timeout=30) as answer:
    print(len(answer.read()))
