#pragma once

#include <napi.h>

namespace weft
{

/** btfLayouts(elf): structs of the object's BTF by name. */
Napi::Value btfLayouts(const Napi::CallbackInfo &info);
/** btfEnums(elf): enums of the object's BTF by name, each a record of its values. */
Napi::Value btfEnums(const Napi::CallbackInfo &info);

/** kernelEnum(name): values of an enum of the running kernel, null when it has none of that name. */
Napi::Value kernelEnum(const Napi::CallbackInfo &info);

} // namespace weft
