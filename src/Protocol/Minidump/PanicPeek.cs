using System.Buffers;
using System.Runtime.CompilerServices;

namespace NetdumpCollector.Protocol.Minidump;

/// <summary>Reads the panic message out of the start of a dump while it arrives, long before the kernel dump header that ends it.</summary>
/// <remarks>
/// Minidumps have the kernel's message buffer as their second part. They are read as they are, and through gzip and zstd; other dumps (full ones, text dumps,
/// encrypted ones) give no message. Input is hostile: it takes no more than <see cref="MaxFedBytes"/> bytes, decodes and keeps no more than about <see cref="MaxMessageBufferBytes"/>,
/// keeps what has come and not what is announced, gives up where <paramref name="memory"/> does not suffice or anything fails, and does not throw. Sans-I/O; one user at a time.
/// </remarks>
/// <param name="memory">What all of them together may take.</param>
public sealed unsafe class PanicPeek(PeekMemory memory) : IDisposable
{
    /// <summary>Larger message buffers are not read; the kernel's own size is 96 KiB.</summary>
    public const int MaxMessageBufferBytes = 1 << 20;

    /// <summary>After so many bytes of the dump it gives up.</summary>
    public const int MaxFedBytes = MaxMessageBufferBytes + 65536;

    /// <summary>Of a compressed dump it gives up after so many bytes: messages are text, which becomes a fraction of its size.</summary>
    public const int MaxCompressedBytes = 262144;

    private const int FirstRoomBytes = 32768;
    private const int SniffBytes = 4;

    private readonly byte[] _head = new byte[MinidumpHeader.SizeBytes];
    private bool _isSniffed;
    private StreamDecoder? _decoder;
    private MinidumpHeader _header;
    private byte[]? _messages;
    private int _messagesLength;
    private int _decoded;
    private long _takenBytes;
    private long _decoderBytes;

    /// <summary>Nothing more is wanted: the message is known, or there is none to be had.</summary>
    public bool IsOver { get; private set; }

    /// <summary>The text after "panic: ", printable and at most <see cref="MessageBuffer.MaxMessageBytes"/> bytes of the wire; null while, or because, it is not known.</summary>
    public string? Message { get; private set; }

    /// <summary>Offset in the dump of the byte that is wanted next.</summary>
    public int NextOffset { get; private set; }

    /// <summary>More at a time take too long: a stream can be made to hold next to nothing but code tables, of which each 8 KiB take 5 ms.</summary>
    public int NextBytes => _isSniffed && _decoder is null ? 32768 : 8192;

    private int MostBytes => _decoder is null ? MaxFedBytes : MaxCompressedBytes;

    /// <summary>Dumps that the kernel compressed with zstd can be read: the system has libzstd. Looks for it when first asked.</summary>
    public static bool ReadsZstd => ZstdDecoder.IsAvailable;

    /// <summary>Takes the next bytes of the dump.</summary>
    public void Feed(ReadOnlySpan<byte> bytes)
    {
        if (IsOver || bytes.IsEmpty)
            return;

        bytes = bytes[..Math.Min(bytes.Length, MostBytes - NextOffset)];
        NextOffset += bytes.Length;
        try
        {
            if (_isSniffed)
                Decode(bytes);
            else
                Sniff(bytes);
        }
        catch (Exception)
        {
            // No stream, or no memory for it: whatever a decoder says, the dump goes on, and without its message.
            End();
        }

        if (NextOffset >= MostBytes)
            End();
    }

    public void Dispose() => End();

    /// <summary>Collects the bytes that tell what the dump is made of.</summary>
    private void Sniff(ReadOnlySpan<byte> bytes)
    {
        int had = NextOffset - bytes.Length;
        var taken = bytes[..Math.Min(bytes.Length, SniffBytes - had)];
        taken.CopyTo(_head.AsSpan(had));
        if (NextOffset < SniffBytes)
            return;

        _isSniffed = true;
        ReadOnlySpan<byte> start = [.. _head.AsSpan(0, SniffBytes)];
        if (start.StartsWith((ReadOnlySpan<byte>)[0x1f, 0x8b, 0x08]))
        {
            if (TryTake(GzipDecoder.StateBytes))
                _decoder = new GzipDecoder();
            else
                End();
        }
        else if (start.SequenceEqual((ReadOnlySpan<byte>)[0x28, 0xb5, 0x2f, 0xfd]))
        {
            _decoder = ZstdDecoder.Create();
            if (_decoder is null)
                End();
        }

        Decode(start);
        var rest = bytes[taken.Length..];
        Decode(rest[..Math.Min(rest.Length, MostBytes - SniffBytes)]);
    }

    [SkipLocalsInit]
    private void Decode(ReadOnlySpan<byte> bytes)
    {
        if (IsOver || bytes.IsEmpty)
            return;
        if (_decoder is null)
        {
            Take(bytes);
            return;
        }

        Span<byte> decoded = stackalloc byte[8192];
        fixed (byte* input = bytes)
        {
            _decoder.Supply(input, bytes.Length);
            try
            {
                while (!IsOver && _decoder.Read(decoded) is > 0 and var count && TakeDecoderMemory())
                    Take(decoded[..count]);
                _ = TakeDecoderMemory();
            }
            finally
            {
                // The loan ends with this call.
                _decoder?.Supply(null, 0);
            }
        }
    }

    /// <summary>A stream says only in its course how much its decoder has to remember; beyond the bound it ends.</summary>
    private bool TakeDecoderMemory()
    {
        long grown = (_decoder?.MemoryBytes ?? 0) - _decoderBytes;
        if (IsOver || (grown > 0 && !TryTake(grown)))
        {
            End();
            return false;
        }

        _decoderBytes += Math.Max(0, grown);
        return true;
    }

    private bool TryTake(long bytes)
    {
        if (!memory.TryTake(bytes))
            return false;
        _takenBytes += bytes;
        return true;
    }

    /// <summary>Takes the next bytes of the dump as the kernel had it before compression.</summary>
    private void Take(ReadOnlySpan<byte> bytes)
    {
        if (_decoded < _head.Length)
        {
            var part = bytes[..Math.Min(bytes.Length, _head.Length - _decoded)];
            part.CopyTo(_head.AsSpan(_decoded));
            _decoded += part.Length;
            bytes = bytes[part.Length..];
            if (_decoded < _head.Length)
                return;
            if (!MinidumpHeader.TryRead(_head, out _header) || _header.MessageBufferBytes is 0 or > MaxMessageBufferBytes)
            {
                End();
                return;
            }

            int pages = ((int)_header.MessageBufferBytes + _header.PageBytes - 1) / _header.PageBytes;
            _messagesLength = pages * _header.PageBytes;
        }

        // What fills up the header's page is skipped.
        var rest = bytes[Math.Min(bytes.Length, Math.Max(0, _header.PageBytes - _decoded))..];
        _decoded += bytes.Length - rest.Length;
        if (rest.IsEmpty)
            return;

        int at = _decoded - _header.PageBytes;
        rest = rest[..Math.Min(rest.Length, _messagesLength - at)];
        if (!HasRoom(at + rest.Length))
        {
            End();
            return;
        }

        rest.CopyTo(_messages.AsSpan(at));
        _decoded += rest.Length;
        if (at + rest.Length == _messagesLength)
            Judge();
    }

    /// <summary>Makes room for what has come, so that a header's promise costs nothing.</summary>
    private bool HasRoom(int bytes)
    {
        int room = _messages?.Length ?? 0;
        if (bytes <= room)
            return true;

        int wanted = Math.Min(Math.Max(bytes, Math.Max(FirstRoomBytes, 2 * room)), Math.Max(bytes, _messagesLength));
        if (!TryTake(wanted - room))
            return false;
        byte[] grown = ArrayPool<byte>.Shared.Rent(wanted);
        _messages.AsSpan().CopyTo(grown);
        if (_messages is not null)
            ArrayPool<byte>.Shared.Return(_messages);
        _messages = grown;
        return true;
    }

    private void Judge()
    {
        int ringBytes = (int)_header.MessageBufferBytes;
        int scratchBytes = ringBytes + MessageBuffer.MaxMessageBytes;
        if (TryTake(scratchBytes))
        {
            byte[] scratch = ArrayPool<byte>.Shared.Rent(scratchBytes);
            Message = MessageBuffer.FindPanic(_messages.AsSpan(0, _messagesLength), ringBytes, _header.IsBigEndian, scratch);
            ArrayPool<byte>.Shared.Return(scratch);
        }

        End();
    }

    private void End()
    {
        IsOver = true;
        _decoder?.Dispose();
        _decoder = null;
        if (_messages is not null)
            ArrayPool<byte>.Shared.Return(_messages);
        _messages = null;
        memory.GiveBack(_takenBytes);
        _takenBytes = 0;
    }
}
