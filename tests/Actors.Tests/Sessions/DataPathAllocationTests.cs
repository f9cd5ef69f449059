using System.Buffers.Binary;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using NetdumpCollector.Actors.Ingress;
using NetdumpCollector.Protocol;
using NetdumpCollector.Telemetry.Prometheus;
using NetdumpCollector.Telemetry.Tracing;
using NetdumpCollector.Transport;

namespace NetdumpCollector.Actors.Tests.Sessions;

/// <summary>The whole way of a burst, from socket to file to acks, on a loop as the server has it.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class DataPathAllocationTests
{
    private const int PacketsPerBurst = 46;
    private const int WarmUpBursts = 500;
    private const int MeasuredBursts = 1_000_000 / PacketsPerBurst;

    // Write-back of the dump is a message each 16 MiB, some 100 bytes, and each may be followed by a collection of another test (NoAllocation.NoiseBytes); all else must be free.
    // The smallest object for every other burst would be more than this.
    private const long AllowedBytes = MeasuredBursts * 12L - 1;

    [LinuxTheory]
    [InlineData(EndpointMode.Ephemeral, false)]
    [InlineData(EndpointMode.Shared, false)]
    [InlineData(EndpointMode.Ephemeral, true)]
    public async Task A_million_packets_allocate_nothing_on_the_loop_but_write_back_messages(EndpointMode mode, bool isTraced)
    {
        using var listener = isTraced ? ListenToSpans() : null;
        IEventLoop loop = null!;
        using var temporary = new MemoryDirectory();
        await using var collector = await RunningCollector.StartAsync(new()
        {
            Transport = "linux",
            Mode = mode,
            Loops = 1,
            Directory = temporary.Path,
            Decorate = created => loop = created,
        });
        using var metrics = new PrometheusExporter(collector.Metrics.Meter);
        using var sender = new BurstSender(RunningCollector.NextAddress(), collector);

        sender.Send(WarmUpBursts);
        temporary.ForgetContent();
        var before = await AllocationProbe.MeasureAsync(loop);
        for (int sent = 0; sent < MeasuredBursts; sent += WarmUpBursts)
        {
            sender.Send(Math.Min(WarmUpBursts, MeasuredBursts - sent));
            temporary.ForgetContent();
        }

        var after = await AllocationProbe.MeasureAsync(loop);
        Assert.True(Assert.Single(collector.FileSystems.Lanes).IsInline, "the file system turned slow");
        Assert.Equal(before.ThreadId, after.ThreadId);
        Assert.InRange(after.AllocatedBytes - before.AllocatedBytes, 0, AllowedBytes);
        Assert.Equal(isTraced, metrics.Write(ExpositionFormat.OpenMetrics).Contains("trace_id", StringComparison.Ordinal));
        Assert.InRange(collector.Metrics.PayloadBytes, (WarmUpBursts + MeasuredBursts) * (long)WellKnown.BurstBytes, long.MaxValue);
    }

    /// <summary>Has every dump traced.</summary>
    private static ActivityListener ListenToSpans()
    {
        var listener = new ActivityListener
        {
            ShouldListenTo = source => source.Name == SpanSource.Name,
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllDataAndRecorded,
        };
        ActivitySource.AddActivityListener(listener);
        return listener;
    }

    /// <summary>What the loop's thread has allocated so far.</summary>
    private sealed class AllocationProbe : ILoopWork
    {
        private readonly TaskCompletionSource<(int ThreadId, long AllocatedBytes)> _result = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public static Task<(int ThreadId, long AllocatedBytes)> MeasureAsync(IEventLoop loop)
        {
            var probe = new AllocationProbe();
            loop.Post(probe);
            return probe._result.Task.WaitAsync(Eventually.Deadline);
        }

        public void Run()
        {
            long bytes = GC.GetAllocatedBytesForCurrentThread();
            _result.SetResult((Environment.CurrentManagedThreadId, bytes));
        }
    }

    /// <summary>Sends a dump's bursts one after the other, each when the one before is acked, from native memory and in two system calls.</summary>
    private sealed unsafe class BurstSender : IDisposable
    {
        private const int SolUdp = 17;
        private const int UdpSegment = 103;
        private const int UdpGro = 104;
        private const int DatagramBytes = MessageHeader.SizeBytes + TestDump.PayloadBytes;
        private const int LastPayloadBytes = WellKnown.BurstBytes - (PacketsPerBurst - 1) * TestDump.PayloadBytes;
        private const int BurstLength = (PacketsPerBurst - 1) * DatagramBytes + MessageHeader.SizeBytes + LastPayloadBytes;

        // As many as fit one send.
        private const int FirstSendLength = 44 * DatagramBytes;
        private const int ReceiveLength = 65_536;

        private static readonly TimeSpan s_retransmit = TimeSpan.FromSeconds(1);

        private readonly Socket _socket = new(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        private readonly byte* _burst = (byte*)NativeMemory.AllocZeroed(BurstLength);
        private readonly byte* _received = (byte*)NativeMemory.Alloc(ReceiveLength);
        private uint _seqno = 1;
        private ulong _offset;

        public BurstSender(Ipv4 address, RunningCollector collector)
        {
            _socket.Bind(new IPEndPoint(address.ToIPAddress(), collector.ClientPort));
            EndPoint session = new IPEndPoint(collector.ServerAddress.ToIPAddress(), collector.HeraldPort);
            _socket.SendTo(TestDump.Herald(seqno: _seqno++), session);
            Assert.True(_socket.Poll(Eventually.Deadline, SelectMode.SelectRead), "the herald is not acked");
            _socket.ReceiveFrom(new byte[WellKnown.AckBytes], ref session);

            _socket.Connect(session);
            _socket.SetRawSocketOption(SolUdp, UdpSegment, BitConverter.GetBytes(DatagramBytes));
            _socket.SetRawSocketOption(SolUdp, UdpGro, BitConverter.GetBytes(1));
        }

        public void Send(int bursts)
        {
            for (; bursts > 0; bursts--)
            {
                WriteHeaders();
                ulong missing = (1ul << PacketsPerBurst) - 1;
                while (missing != 0)
                {
                    Assert.Equal(FirstSendLength, _socket.Send(new ReadOnlySpan<byte>(_burst, FirstSendLength)));
                    Assert.Equal(BurstLength - FirstSendLength, _socket.Send(new ReadOnlySpan<byte>(_burst + FirstSendLength, BurstLength - FirstSendLength)));
                    while (missing != 0 && _socket.Poll(s_retransmit, SelectMode.SelectRead))
                        missing &= ~ReceiveAcks();
                }

                _seqno += PacketsPerBurst;
                _offset += WellKnown.BurstBytes;
            }
        }

        public void Dispose()
        {
            _socket.Dispose();
            NativeMemory.Free(_burst);
            NativeMemory.Free(_received);
        }

        private void WriteHeaders()
        {
            for (int i = 0; i < PacketsPerBurst; i++)
            {
                var header = new Span<byte>(_burst + i * DatagramBytes, MessageHeader.SizeBytes);
                BinaryPrimitives.WriteUInt32BigEndian(header, (uint)MessageType.Vmcore);
                BinaryPrimitives.WriteUInt32BigEndian(header[4..], _seqno + (uint)i);
                BinaryPrimitives.WriteUInt64BigEndian(header[8..], _offset + (ulong)(i * TestDump.PayloadBytes));
                BinaryPrimitives.WriteUInt32BigEndian(header[16..], (uint)(i < PacketsPerBurst - 1 ? TestDump.PayloadBytes : LastPayloadBytes));
            }
        }

        /// <summary>A bit for each packet of the burst that the acks of one receive are of.</summary>
        private ulong ReceiveAcks()
        {
            ulong acked = 0;
            var acks = new Span<byte>(_received, ReceiveLength);
            acks = acks[.._socket.Receive(acks)];
            for (; acks.Length >= WellKnown.AckBytes; acks = acks[WellKnown.AckBytes..])
            {
                uint index = BinaryPrimitives.ReadUInt32BigEndian(acks) - _seqno;
                // Others are repeated acks of the burst before.
                if (index < PacketsPerBurst)
                    acked |= 1ul << (int)index;
            }

            return acked;
        }
    }

    /// <summary>A directory in memory, where there is such a file system, so that no device has a say in what is measured.</summary>
    private sealed class MemoryDirectory : IDisposable
    {
        private const string SharedMemory = "/dev/shm";

        public string Path { get; } = System.IO.Path.Combine(Directory.Exists(SharedMemory) ? SharedMemory : System.IO.Path.GetTempPath(), $"netdump-alloc-{Guid.NewGuid():N}");

        /// <summary>Gives back what the running dump takes; its next bytes lie behind a hole.</summary>
        public void ForgetContent()
        {
            string partial = Assert.Single(Directory.EnumerateFiles(Path, "partial.*"), path => !path.EndsWith(".ledger", StringComparison.Ordinal));
            using var file = File.OpenHandle(partial, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
            RandomAccess.SetLength(file, 0);
        }

        public void Dispose() => Directory.Delete(Path, recursive: true);
    }
}
