#pragma once

#include "failure.h"

#include <cstdint>
#include <cstring>
#include <map>
#include <napi.h>
#include <string_view>
#include <utility>

namespace weft
{

/** A Failure as the NativeError of src/kernel/native.ts. */
inline Napi::Error nativeError(Napi::Env env, const Failure &failure)
{
	Napi::Error error = Napi::Error::New(env, failure.what());
	Napi::Object value = error.Value();
	value.Set("name", "NativeError");
	value.Set("operation", failure.operation());
	value.Set("code", failure.code());
	value.Set("errno", failure.number());
	value.Set("detail", failure.detail());
	return error;
}

/** The addon's state in one JavaScript environment: main thread and workers each have their own. */
struct Environment {
	/** By class name. */
	std::map<std::string_view, Napi::FunctionReference> constructors;
};

/** Runs what JavaScript called; a Failure leaves as a NativeError. */
template <class Body> auto guard(Napi::Env env, Body body)
{
	try {
		return body();
	} catch (const Failure &failure) {
		throw nativeError(env, failure);
	}
}

/**
 * Base of every class that JavaScript holds. T has `static constexpr const char *kName`, `static properties()` and is
 * made by `create`; one that a script constructs itself is empty and answers every call with EBADF.
 */
template <class T> class Handle : public Napi::ObjectWrap<T>
{
public:
	using Method = Napi::Value (T::*)(const Napi::CallbackInfo &);

	explicit Handle(const Napi::CallbackInfo &info) : Napi::ObjectWrap<T>(info) {}

	static T &from(Napi::Value value)
	{
		if (!value.IsObject() ||
		    !value.As<Napi::Object>().InstanceOf(constructor(value.Env()).Value()))
			throw Napi::TypeError::New(value.Env(), std::string("expected a ") + T::kName);
		return *T::Unwrap(value.As<Napi::Object>());
	}

	static std::pair<Napi::Object, T *> create(Napi::Env env)
	{
		Napi::Object object = constructor(env).New({});
		return {object, T::Unwrap(object)};
	}

	static void define(Napi::Env env)
	{
		constructor(env) = Napi::Persistent(T::DefineClass(env, T::kName, T::properties()));
	}

protected:
	template <Method method> static auto bind(const char *name)
	{
		return T::InstanceMethod(name, static_cast<Method>(&Handle::template guarded<method>));
	}

	static void constant(Napi::Object object, const char *name, Napi::Value value)
	{
		object.DefineProperty(Napi::PropertyDescriptor::Value(name, value, napi_enumerable));
	}

private:
	template <Method method> Napi::Value guarded(const Napi::CallbackInfo &info)
	{
		return guard(info.Env(), [&] { return (static_cast<T *>(this)->*method)(info); });
	}

	static Napi::FunctionReference &constructor(Napi::Env env)
	{
		return env.GetInstanceData<Environment>()->constructors[T::kName];
	}
};

/** Memory of a Uint8Array argument; valid during the call. */
struct Bytes {
	const uint8_t *start;
	size_t length;
};

inline Bytes bytesOf(Napi::Value value, const char *name)
{
	if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array)
		throw Napi::TypeError::New(value.Env(), std::string(name) + " must be a Uint8Array");
	auto array = value.As<Napi::Uint8Array>();
	return {array.Data(), array.ByteLength()};
}

inline Napi::Uint8Array copyToJs(Napi::Env env, const void *start, size_t length)
{
	Napi::Uint8Array array = Napi::Uint8Array::New(env, length);
	if (length)
		memcpy(array.Data(), start, length);
	return array;
}

inline std::string stringOf(Napi::Value value, const char *name)
{
	if (!value.IsString())
		throw Napi::TypeError::New(value.Env(), std::string(name) + " must be a string");
	return value.As<Napi::String>().Utf8Value();
}

/** An unsigned 32-bit integer. */
inline uint32_t uintOf(Napi::Value value, const char *name)
{
	double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1;
	if (!(number >= 0 && number <= 4294967295.0) ||
	    number != static_cast<double>(static_cast<uint32_t>(number)))
		throw Napi::TypeError::New(value.Env(),
					   std::string(name) + " must be an unsigned 32-bit integer");
	return static_cast<uint32_t>(number);
}

inline bool boolOf(Napi::Value value, const char *name)
{
	if (!value.IsBoolean())
		throw Napi::TypeError::New(value.Env(), std::string(name) + " must be a boolean");
	return value.As<Napi::Boolean>().Value();
}

inline Napi::Function functionOf(Napi::Value value, const char *name)
{
	if (!value.IsFunction())
		throw Napi::TypeError::New(value.Env(), std::string(name) + " must be a function");
	return value.As<Napi::Function>();
}

} // namespace weft
