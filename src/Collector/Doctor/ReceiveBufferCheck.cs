using System.Globalization;
using NetdumpCollector.Actors.Ingress;
using NetdumpCollector.Collector.Settings;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;
using NetdumpCollector.Transport;

namespace NetdumpCollector.Collector.Doctor;

/// <summary>Whether sockets get the receive buffers that they ask for.</summary>
/// <param name="AskedBytes">What the herald socket asks for.</param>
/// <param name="GrantedBytes">What a socket of this process got.</param>
/// <param name="MaxBytes">net.core.rmem_max, beyond which only CAP_NET_ADMIN goes; null where the system does not tell.</param>
internal sealed record ReceiveBufferFacts(long AskedBytes, long GrantedBytes, long? MaxBytes);

/// <inheritdoc cref="ReceiveBufferFacts"/>
internal static class ReceiveBufferCheck
{
    private const string Subject = "receive buffer";

    public static IEnumerable<Finding> Look(CollectorSettings settings)
    {
        var defaults = new IngressOptions();
        int askedBytes = settings.Endpoint == EndpointMode.Shared ? defaults.SharedBufferBytes : defaults.HeraldBufferBytes;
        long[] max = Proc.Numbers("net.core.rmem_max");
        return [Judge(new(askedBytes, GrantedBytes(askedBytes), max.Length > 0 ? max[0] : null))];
    }

    public static Finding Judge(ReceiveBufferFacts facts)
    {
        string raise = string.Create(CultureInfo.InvariantCulture,
            $"sysctl -w net.core.rmem_max={facts.AskedBytes}, and the same in /etc/sysctl.d/10-netdump-collector.conf for good");
        string asked = ByteSize.Format(facts.AskedBytes), granted = ByteSize.Format(facts.GrantedBytes);
        if (facts.GrantedBytes < facts.AskedBytes)
        {
            return new(FindingLevel.Warning, Subject,
                $"{asked} were asked for and {granted} granted: when many hosts panic at once, packets are dropped and each costs its kernel a second", raise);
        }

        // The same rule as the kernel's: it grants twice the limit, because half goes to its own bookkeeping.
        return facts.MaxBytes is long max && 2 * max < facts.AskedBytes
            ? new(FindingLevel.Ok, Subject, $"{asked} asked for and granted because this user may go beyond net.core.rmem_max ({ByteSize.Format(max)}); a service without CAP_NET_ADMIN may not", raise)
            : new(FindingLevel.Ok, Subject, $"{asked} asked for and granted");
    }

    private static long GrantedBytes(int askedBytes)
    {
        using var loop = Transports.Default.CreateLoop("doctor", _ => { });
        loop.Start();
        var opened = new TaskCompletionSource<int>(TaskCreationOptions.RunContinuationsAsynchronously);
        loop.Post(new Opening(loop, askedBytes, opened));
        return opened.Task.GetAwaiter().GetResult();
    }

    /// <summary>Opens a socket as the server does, looks what it got, and closes it.</summary>
    private sealed class Opening(IEventLoop loop, int askedBytes, TaskCompletionSource<int> opened) : ILoopWork, IDatagramReceiver
    {
        public void Run()
        {
            try
            {
                using var endpoint = loop.Open(new() { Address = Ipv4.Loopback, Port = 0, ReceiveBufferBytes = askedBytes }, this);
                opened.SetResult(endpoint.ReceiveBufferBytes);
            }
            catch (EndpointException e)
            {
                opened.SetException(e);
            }
        }

        public void OnDatagrams(IUdpEndpoint endpoint, ReadOnlySpan<Datagram> datagrams)
        {
        }
    }
}
