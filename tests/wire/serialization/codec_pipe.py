# SPDX-License-Identifier: BSD-3-Clause
"""The other end of codec_tool: one record in, one answer out."""
import struct
import subprocess
import threading


class Codec:
    """A running codec_tool; convert() gives (status, bytes)."""

    def __init__(self, tool, conversion):
        self.process = subprocess.Popen(
            [tool, conversion], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def convert_many(self, records):
        writer = threading.Thread(target=self._write, args=(records,))
        writer.start()
        answers = [self._read() for _ in records]
        writer.join()
        return answers

    def convert(self, record):
        return self.convert_many([record])[0]

    def _write(self, records):
        for record in records:
            self.process.stdin.write(struct.pack(">I", len(record)) + record)
        self.process.stdin.flush()

    def _read(self):
        head = self.process.stdout.read(5)
        if len(head) < 5:
            raise RuntimeError("codec_tool ended: %s" % self.process.wait())
        status, length = struct.unpack(">BI", head)
        return status, self.process.stdout.read(length)

    def close(self):
        self.process.stdin.close()
        code = self.process.wait()
        self.process.stdout.close()
        if code:
            raise RuntimeError("codec_tool ended with %d" % code)
