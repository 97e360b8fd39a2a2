"""names.py <address> <name>: a name server on port 53 of <address>, for one name, which is 127.0.0.1; any other does not exist."""

import socket
import sys

address, known = sys.argv[1:]
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind((address, 53))
print("ready", flush=True)
while True:
    query, client = server.recvfrom(512)
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode())
        at += 1 + query[at]
    question = query[12 : at + 5]
    found = ".".join(labels).lower() == known
    # RFC 1035, 4.1: A is type 1; the other types of the name have no record. c00c points at the question's name.
    answer = bytes.fromhex("c00c 0001 0001 0000003c 0004 7f000001") if found and question[-4:-2] == b"\0\1" else b""
    flags = b"\x85\x80" if found else b"\x85\x83"
    server.sendto(query[:2] + flags + b"\0\1" + (b"\0\1" if answer else b"\0\0") + bytes(4) + question + answer, client)
