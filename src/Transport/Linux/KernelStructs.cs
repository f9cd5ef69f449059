using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Transport.Linux;

/// <summary>struct sockaddr_in, 16 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct SocketAddress4(Ipv4 address, ushort port)
{
    private readonly ushort _family = Libc.AfInet;
    private readonly ushort _portBigEndian = BinaryPrimitives.ReverseEndianness(port);
    private readonly uint _addressBigEndian = BinaryPrimitives.ReverseEndianness(address.Value);
    private readonly ulong _zero;

    public readonly Ipv4 Address => new(BinaryPrimitives.ReverseEndianness(_addressBigEndian));

    public readonly ushort Port => BinaryPrimitives.ReverseEndianness(_portBigEndian);
}

/// <summary>struct iovec.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct MemoryPiece
{
    public void* Start;
    public nuint LengthBytes;
}

/// <summary>struct msghdr, 56 bytes; musl's 32-bit lengths with padding read the same on little-endian machines.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct SocketMessage
{
    public SocketAddress4* Name;
    public uint NameBytes;
    public MemoryPiece* Pieces;
    public nuint PieceCount;
    public byte* Control;
    public nuint ControlBytes;
    public int Flags;
}

/// <summary>struct mmsghdr, 64 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct BatchedMessage
{
    public SocketMessage Message;
    public uint LengthBytes;
}

/// <summary>struct cmsghdr, 16 bytes; what it announces follows, padded to 8 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct ControlHeader
{
    /// <summary>Of header and content, without padding.</summary>
    public nuint LengthBytes;
    public int Level;
    public int Type;
}

/// <summary>struct in_pktinfo, 12 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct PacketInfo
{
    public int Interface;

    /// <summary>ipi_spec_dst: when sending, the source address.</summary>
    public uint SourceBigEndian;

    /// <summary>ipi_addr: when receiving, the destination address of the datagram.</summary>
    public uint DestinationBigEndian;
}

/// <summary>struct sock_filter, 8 bytes: one instruction of a classic BPF program.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly struct FilterStep(ushort code, uint operand)
{
    private readonly ushort _code = code;
    private readonly byte _jumpIfTrue;
    private readonly byte _jumpIfFalse;
    private readonly uint _operand = operand;
}

/// <summary>struct sock_fprog, 16 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct FilterProgram
{
    public ushort StepCount;
    public FilterStep* Steps;
}

/// <summary>struct timespec, 16 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct TimeSpec
{
    public long Seconds;
    public long Nanoseconds;
}

/// <summary>struct epoll_event, which is packed on x86-64 and nowhere else.</summary>
internal static unsafe class EpollEvent
{
    private static readonly int s_keyOffset = RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 4 : 8;

    public const int MaxSizeBytes = 16;

    public static int SizeBytes => s_keyOffset + sizeof(ulong);

    public static void Write(byte* at, uint events, ulong key)
    {
        Unsafe.WriteUnaligned(at, events);
        Unsafe.WriteUnaligned(at + s_keyOffset, key);
    }

    public static ulong ReadKey(byte* events, int index) => Unsafe.ReadUnaligned<ulong>(events + index * SizeBytes + s_keyOffset);
}
