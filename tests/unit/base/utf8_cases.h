/* SPDX-License-Identifier: BSD-3-Clause */
/* Made with bytes.decode("utf-8") of Python. */
static const struct {
    const char *text;
    bool valid;
} utf8_cases[] = {
    {"", true},
    {"abc", true},
    {"\177", true},
    {"\303\251", true},
    {"\342\202\254", true},
    {"\360\237\230\200", true},
    {"\200", false},
    {"\300\200", false},
    {"\301\277", false},
    {"\302", false},
    {"\340\200\200", false},
    {"\340\240\200", true},
    {"\355\237\277", true},
    {"\355\240\200", false},
    {"\355\277\277", false},
    {"\356\200\200", true},
    {"\360\200\200\200", false},
    {"\360\220\200\200", true},
    {"\364\217\277\277", true},
    {"\364\220\200\200", false},
    {"\365\200\200\200", false},
    {"\377", false},
    {"abcdefgh\342\202", false},
    {"abcdefgh\342\202\254", true},
    {"\342(\241", false},
    {"aaaaaaaaaaaaaaaaaaaaaaa\303\251", true},
};

/* str.isprintable(), a sample. */
static const struct {
    uint32_t code;
    bool printable;
} printable_cases[] = {
    {0x0, false},     {0x1f, false},    {0x20, true},     {0x7e, true},
    {0x7f, false},    {0x80, false},    {0xa0, false},    {0xa1, true},
    {0xac, true},     {0xad, false},    {0xae, true},     {0x378, false},
    {0x37a, true},    {0x600, false},   {0x200b, false},  {0x2028, false},
    {0x3000, false},  {0xd7ff, false},  {0xd800, false},  {0xe000, false},
    {0xfeff, false},  {0xfffd, true},   {0xffff, false},  {0x10000, true},
    {0x1000c, false}, {0x1f600, true},  {0x1fbff, false}, {0x20000, true},
    {0x2a6e0, false}, {0xe0001, false}, {0xe0100, true},  {0x10ffff, false},
    {0x7ccf, true},   {0x2a3e6, true},  {0x27c9b, true},  {0x1c61c, false},
    {0xfb64, true},   {0x12c23, false}, {0x28ef, true},   {0x8bb6, true},
    {0x191ce, false}, {0xd85, true},    {0x1ebd2, false}, {0x22158, true},
    {0x23dc3, true},  {0x1185b, false}, {0xf950, true},   {0x1e5a9, false},
    {0x25a5, true},   {0xfb8e, true},   {0x1f5e1, true},  {0x1121c, true},
    {0x9e7a, true},   {0x2e2c5, true},  {0x12496, true},  {0x12c39, false},
    {0x1f814, true},  {0x26ea1, true},  {0x1e605, false}, {0x212a8, true},
    {0x2945a, true},  {0x26a58, true},  {0x2f951, true},  {0x7903, true},
    {0x108f, true},   {0x810e, true},   {0x133e8, true},  {0x1211f, true},
    {0x2224d, true},  {0x2d505, true},  {0x15830, false}, {0x2744c, true},
};
