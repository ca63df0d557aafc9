/* SPDX-License-Identifier: BSD-3-Clause */
/* Made with kombu.utils.url.url_to_parts(). */
static const struct {
    const char *text;
    bool valid;
    const char *scheme, *host;
    int port;
    const char *user, *password, *path;
} url_cases[] = {
    {"redis://", true, "redis", NULL, 0, NULL, NULL, NULL},
    {"redis://localhost", true, "redis", "localhost", 0, NULL, NULL, NULL},
    {"redis://localhost/", true, "redis", "localhost", 0, NULL, NULL, NULL},
    {"redis://localhost:6379/0", true, "redis", "localhost", 6379, NULL, NULL, "/0"},
    {"redis://:pw@localhost:6379/1", true, "redis", "localhost", 6379, NULL, "pw", "/1"},
    {"redis://user:pw@localhost", true, "redis", "localhost", 0, "user", "pw", NULL},
    {"redis://user@localhost", true, "redis", "localhost", 0, "user", NULL, NULL},
    {"redis://us%40er:p%2Fw%3A%25@HOST.example/0", true, "redis", "host.example", 0,
     "us@er", "p/w:%", "/0"},
    {"redis://:a:b@h/0", true, "redis", "h", 0, NULL, "a:b", "/0"},
    {"redis://:a@b@h/0", true, "redis", "h", 0, NULL, "a@b", "/0"},
    {"redis://u:@h/0", true, "redis", "h", 0, "u", NULL, "/0"},
    {"redis://[::1]:6379/0", true, "redis", "::1", 6379, NULL, NULL, "/0"},
    {"redis://:pw@[fe80::1]/2", true, "redis", "fe80::1", 0, NULL, "pw", "/2"},
    {"redis+socket:///tmp/redis.sock", true, "redis+socket", NULL, 0, NULL, NULL,
     "/tmp/redis.sock"},
    {"redis+socket:///tmp/redis.sock\077virtual_host=3", true, "redis+socket", NULL, 0,
     NULL, NULL, "/tmp/redis.sock"},
    {"rediss://h:6380/0\077ssl_cert_reqs=required&ssl_ca_certs=%2Fetc%2Fca.pem", true,
     "rediss", "h", 6380, NULL, NULL, "/0"},
    {"REDIS://h/0", true, "redis", "h", 0, NULL, NULL, "/0"},
    {"sentinel://:pw@h1:26379/0", true, "sentinel", "h1", 26379, NULL, "pw", "/0"},
    {"memory://", true, "memory", NULL, 0, NULL, NULL, NULL},
    {"amqp://guest:guest@h:5672//", true, "amqp", "h", 5672, "guest", "guest", "//"},
    {"amqp://h/%2Fx", true, "amqp", "h", 0, NULL, NULL, "//x"},
    {"redis://h:/0", true, "redis", "h", 0, NULL, NULL, "/0"},
    {"redis://h/0#fragment", true, "redis", "h", 0, NULL, NULL, "/0"},
    {"redis://h\077x=1", true, "redis", "h", 0, NULL, NULL, NULL},
    {"redis://h/a%zz%4", true, "redis", "h", 0, NULL, NULL, "/a%zz%4"},
    {"redis://:p%20w@h/0", true, "redis", "h", 0, NULL, "p w", "/0"},
    {"redis://h:65535", true, "redis", "h", 65535, NULL, NULL, NULL},
    {"redis://h:65536", false},
    {"redis://h:abc/0", false},
    {"redis://:pa/ss@h:1/0", false},
    {"redis://:p#w@h:1/0", false},
    {"redis://[::1:6379/0", false},
    {"redis://:caf%C3%A9@h", true, "redis", "h", 0, NULL, "caf\303\251", NULL},
    {"redis://:+@h", true, "redis", "h", 0, NULL, "+", NULL},
};

/* Made with kombu.Connection.as_uri(). */
static const struct {
    const char *text;
    const char *shown;
} url_texts[] = {
    {"redis://", "redis://localhost:6379//"},
    {"redis://localhost", "redis://localhost:6379//"},
    {"redis://:pw@h/0", "redis://:**@h:6379/0"},
    {"redis://u:p%40@H:7/2", "redis://u:**@h:7/2"},
    {"redis+socket:///tmp/x.sock", "redis+socket:///tmp/x.sock"},
    {"redis+socket:///tmp/x.sock\077virtual_host=2", "redis+socket:///tmp/x.sock"},
    {"rediss://h/1", "rediss://h:6379/1"},
    {"sentinel://:pw@a:1/0", "sentinel://:**@a:1/0"},
    {"memory://", "memory://localhost//"},
    {"amqp://u:p@h//", "amqp://u:**@h:5672//"},
    {"amqp://u:p@h", "amqp://u:**@h:5672//"},
    {"amqp://u:p@h/x", "amqp://u:**@h:5672/x"},
    {"redis://h/a%20b", "redis://h:6379/a%20b"},
};
