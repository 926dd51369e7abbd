#include "transpose.h"

#include "handle.h"

#include <algorithm>

namespace weft
{

namespace
{

/** So many records stay in the first cache from one column to the next. */
constexpr uint32_t kBlock = 64;

/** A member of a record, and where its column begins: three words of `moves`. */
struct Move {
	uint32_t from;
	uint32_t width;
	uint32_t to;
};

struct Memory {
	uint8_t *start;
	size_t length;
};

Memory memoryOf(Napi::Value value, const char *name)
{
	if (!value.IsArrayBuffer())
		throw Napi::TypeError::New(value.Env(), std::string(name) + " must be an ArrayBuffer");
	auto buffer = value.As<Napi::ArrayBuffer>();
	return {static_cast<uint8_t *>(buffer.Data()), buffer.ByteLength()};
}

template <class T> void copy(const uint8_t *record, size_t recordSize, uint32_t count, uint8_t *cell)
{
	for (uint32_t n = 0; n < count; n++, record += recordSize, cell += sizeof(T)) {
		T value;
		memcpy(&value, record, sizeof(value));
		memcpy(cell, &value, sizeof(value));
	}
}

/** Times, in doubles since the base. */
void copyTime(const uint8_t *record, size_t recordSize, uint32_t count, uint8_t *cell, uint64_t base)
{
	for (uint32_t n = 0; n < count; n++, record += recordSize, cell += sizeof(double)) {
		uint64_t time;
		memcpy(&time, record, sizeof(time));
		auto since = static_cast<double>(static_cast<int64_t>(time - base));
		memcpy(cell, &since, sizeof(since));
	}
}

} // namespace

Napi::Value transpose(const Napi::CallbackInfo &info)
{
	Napi::Env env = info.Env();
	const Memory records = memoryOf(info[0], "records");
	const uint32_t recordSize = uintOf(info[1], "recordSize");
	const uint32_t first = uintOf(info[2], "first");
	const uint32_t count = uintOf(info[3], "count");
	const Memory columns = memoryOf(info[4], "columns");
	if (!info[5].IsTypedArray() || info[5].As<Napi::TypedArray>().TypedArrayType() != napi_uint32_array)
		throw Napi::TypeError::New(env, "moves must be a Uint32Array");
	auto words = info[5].As<Napi::Uint32Array>();
	const auto *moves = reinterpret_cast<const Move *>(words.Data());
	const size_t moveCount = words.ElementLength() / (sizeof(Move) / sizeof(uint32_t));
	const uint32_t row = uintOf(info[6], "row");
	if (!info[7].IsBigInt())
		throw Napi::TypeError::New(env, "baseNs must be a BigInt");
	bool lossless;
	const uint64_t base = info[7].As<Napi::BigInt>().Uint64Value(&lossless);

	if ((uint64_t{first} + count) * recordSize > records.length)
		throw Napi::RangeError::New(env, "records end before the last one that is asked for");
	for (size_t n = 0; n < moveCount; n++) {
		const auto [from, width, to] = moves[n];
		if (width != 1 && width != 2 && width != 4 && width != 8)
			throw Napi::RangeError::New(env, "a member has 1, 2, 4 or 8 bytes");
		if (uint64_t{from} + width > recordSize)
			throw Napi::RangeError::New(env, "a member is not inside its record");
		if (uint64_t{to} + (uint64_t{row} + count) * width > columns.length)
			throw Napi::RangeError::New(env, "a column ends before the last row");
	}

	for (uint32_t done = 0; done < count; done += kBlock) {
		const uint32_t part = std::min(kBlock, count - done);
		const uint8_t *start = records.start + (size_t{first} + done) * recordSize;
		for (size_t n = 0; n < moveCount; n++) {
			const Move &move = moves[n];
			const uint8_t *member = start + move.from;
			uint8_t *cell = columns.start + move.to + (size_t{row} + done) * move.width;
			switch (move.width) {
			case 1:
				copy<uint8_t>(member, recordSize, part, cell);
				break;
			case 2:
				copy<uint16_t>(member, recordSize, part, cell);
				break;
			case 4:
				copy<uint32_t>(member, recordSize, part, cell);
				break;
			default:
				copyTime(member, recordSize, part, cell, base);
			}
		}
	}
	return env.Undefined();
}

} // namespace weft
