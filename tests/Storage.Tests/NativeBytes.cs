using System.Runtime.InteropServices;

namespace NetdumpCollector.Storage.Tests;

/// <summary>Bytes outside the managed heap, as packets arrive.</summary>
internal sealed unsafe class NativeBytes : IDisposable
{
    private readonly byte* _bytes;

    public NativeBytes(ReadOnlySpan<byte> content)
    {
        _bytes = (byte*)NativeMemory.Alloc((nuint)Math.Max(content.Length, 1));
        content.CopyTo(new(_bytes, content.Length));
    }

    public WriteSlice Slice(ulong offset, int from, int length) => new(offset, _bytes + from, length);

    public void Dispose() => NativeMemory.Free(_bytes);
}
