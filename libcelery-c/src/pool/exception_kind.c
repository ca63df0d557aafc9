/* SPDX-License-Identifier: BSD-3-Clause */
#include "pool/exception_kind.h"

/* Builtin exceptions and their bases; those not named here are derived from Exception. */
static const struct {
    const char *name;
    const char *base;
} builtin[] = {
    {"BlockingIOError", "OSError"},
    {"BrokenPipeError", "ConnectionError"},
    {"BytesWarning", "Warning"},
    {"ChildProcessError", "OSError"},
    {"ConnectionAbortedError", "ConnectionError"},
    {"ConnectionError", "OSError"},
    {"ConnectionRefusedError", "ConnectionError"},
    {"ConnectionResetError", "ConnectionError"},
    {"DeprecationWarning", "Warning"},
    {"Exception", "BaseException"},
    {"FileExistsError", "OSError"},
    {"FileNotFoundError", "OSError"},
    {"FloatingPointError", "ArithmeticError"},
    {"FutureWarning", "Warning"},
    {"GeneratorExit", "BaseException"},
    {"ImportWarning", "Warning"},
    {"IndentationError", "SyntaxError"},
    {"IndexError", "LookupError"},
    {"InterruptedError", "OSError"},
    {"IsADirectoryError", "OSError"},
    {"KeyError", "LookupError"},
    {"KeyboardInterrupt", "BaseException"},
    {"ModuleNotFoundError", "ImportError"},
    {"NotADirectoryError", "OSError"},
    {"NotImplementedError", "RuntimeError"},
    {"OverflowError", "ArithmeticError"},
    {"PendingDeprecationWarning", "Warning"},
    {"PermissionError", "OSError"},
    {"ProcessLookupError", "OSError"},
    {"RecursionError", "RuntimeError"},
    {"ResourceWarning", "Warning"},
    {"RuntimeWarning", "Warning"},
    {"SyntaxWarning", "Warning"},
    {"SystemExit", "BaseException"},
    {"TabError", "IndentationError"},
    {"TimeoutError", "OSError"},
    {"UnboundLocalError", "NameError"},
    {"UnicodeDecodeError", "UnicodeError"},
    {"UnicodeEncodeError", "UnicodeError"},
    {"UnicodeError", "ValueError"},
    {"UnicodeTranslateError", "UnicodeError"},
    {"UnicodeWarning", "Warning"},
    {"UserWarning", "Warning"},
    {"ZeroDivisionError", "ArithmeticError"},
};

/* NULL: the root of them all. */
static const char *base_of(struct cel_slice type)
{
    for (size_t i = 0; i < sizeof builtin / sizeof builtin[0]; i++) {
        if (cel_slice_is(type, builtin[i].name)) {
            return builtin[i].base;
        }
    }
    return cel_slice_is(type, "BaseException") ? NULL : "Exception";
}

static bool is_named(struct cel_slice module, struct cel_slice type,
                     struct cel_slice wanted)
{
    if (wanted.len == type.len) {
        return memcmp(wanted.data, type.data, type.len) == 0;
    }
    return wanted.len == module.len + 1 + type.len &&
           memcmp(wanted.data, module.data, module.len) == 0 &&
           wanted.data[module.len] == '.' &&
           memcmp(wanted.data + module.len + 1, type.data, type.len) == 0;
}

bool cel_exception_is(struct cel_slice module, struct cel_slice type, const char *wanted)
{
    struct cel_slice name = cel_slice_of(wanted);
    bool known = cel_slice_is(module, "builtins");

    if (type.len == 0) {
        return false;
    }
    if (is_named(module, type, name)) {
        return true;
    }
    for (const char *base = known ? base_of(type) : "Exception"; base;
         base = base_of(cel_slice_of(base))) {
        if (is_named(CEL_SLICE("builtins"), cel_slice_of(base), name)) {
            return true;
        }
    }
    return false;
}

bool cel_exception_is_any(struct cel_slice module, struct cel_slice type,
                          char *const *wanted)
{
    for (; wanted && *wanted; wanted++) {
        if (cel_exception_is(module, type, *wanted)) {
            return true;
        }
    }
    return false;
}
