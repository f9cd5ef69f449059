using System.Diagnostics.Metrics;
using NetdumpCollector.Telemetry.Events;

namespace NetdumpCollector.Telemetry;

public sealed partial class CollectorMetrics
{
    public const string MeterName = "NetdumpCollector";

    /// <summary>From the 100 us of a burst on an idle machine to the 11 s that a kernel tolerates.</summary>
    private static readonly InstrumentAdvice<double> s_latencies = new()
    {
        HistogramBucketBoundaries = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 11],
    };

    private static readonly InstrumentAdvice<double> s_durations = new()
    {
        HistogramBucketBoundaries = [1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200],
    };

    private static readonly InstrumentAdvice<double> s_sizes = new()
    {
        HistogramBucketBoundaries =
        [
            1 << 20, 16 << 20, 64 << 20, 256 << 20, 1L << 30, 4L << 30, 16L << 30, 64L << 30, 256L << 30, 1L << 40,
        ],
    };

    /// <param name="time">The clock that events and forecasts are told by.</param>
    public CollectorMetrics(TimeProvider time)
    {
        Events = new(time);
        _forecast = new(time);
        _ = Count("netdump.heralds", "{herald}", "Heralds received, by what became of them.", _heralds.Measure);
        _ = Count("netdump.received.packets", "{packet}", "Messages of clients that were used, repeats included.", () => Packets);
        _ = Count("netdump.received", "By", "Dump bytes received, repeats included.", () => PayloadBytes);
        _ = Count("netdump.repeated.packets", "{packet}", "Messages that repeated an earlier one: a packet or its ack was lost.", () => Interlocked.Read(ref _repeated));
        _ = Count("netdump.written", "By", "Dump bytes stored that were not stored before.", () => Interlocked.Read(ref _written));
        _ = Count("netdump.acks", "{ack}", "Acks sent.", () => Acks);
        _ = Count("netdump.acked", "By", "Dump bytes stored whose bursts were acked whole: what clients know to be safe. A burst that is acked in part counts when the rest is.", () => AckedBytes);
        _ = Count("netdump.acks.held", "{ack}", "Stored packets whose acks waited for others of their burst, because the kernel keeps one bit for all packets that are equal modulo 32.", () => Interlocked.Read(ref _heldAcks));
        _ = Count("netdump.retransmitted.bursts", "{burst}", "Bursts that arrived in part and that the client had to repeat.", () => Interlocked.Read(ref _quietBursts));
        _ = Count("netdump.rejected.packets", "{packet}", "Datagrams that were not used, by reason; none is answered.", _rejected.Measure);
        _ = Count("netdump.dumps", "{dump}", "Dumps that ended, by how.", _ended.Measure);
        _ = Count("netdump.missing", "By", "Bytes known to be missing in dumps that ended.", () => Interlocked.Read(ref _missing));
        _ = Count("netdump.sessions.relocated", "{session}", "Dumps whose first burst came at a stale offset and was moved (FreeBSD's offset bug).", () => Interlocked.Read(ref _relocated));
        _ = Count("netdump.sessions.resumed", "{session}", "Sessions of an earlier process that went on.", () => Interlocked.Read(ref _resumed));
        _ = Count("netdump.sessions.taken_over", "{session}", "Sessions of another node, or of an earlier process in the shared directory, that went on here.", () => Interlocked.Read(ref _takenOver));
        _ = Count("netdump.sessions.handed_over", "{session}", "Running dumps that another node went on with, or this one anew after its device failed.", () => Interlocked.Read(ref _handedOver));
        _ = Count("netdump.sessions.sought", "{flow}", "Flows that were sought in the shared directory, because packets came whose session this node does not have, by what was found.", _seeks.Measure);
        _ = Count("netdump.session.dropped.packets", "{packet}", "Datagrams that the kernel dropped at sessions' own sockets.", () => Interlocked.Read(ref _sessionDrops));
        _ = Count("netdump.scripts", "{script}", "Scripts that ended, by how.", _scripts.Measure);
        _ = Count("netdump.webhook.events", "{event}", "Events that were posted to the webhook, by what became of them.", _webhooks.Measure);
        _ = Count("netdump.http.denied.requests", "{request}", "Requests over HTTP that were denied, by reason.", _denied.Measure);
        _ = Count("netdump.otlp.failures", "{failure}", "Exports to an OTLP endpoint that failed, and other complaints of the exporter.", () => Interlocked.Read(ref _otlpFailures));
        _ = Count("netdump.events.missed", "{event}", "Events that a listener (webhook, event stream) did not keep up with.", () => Events.Missed);
        _ = Count("netdump.retention.deleted.dumps", "{dump}", "Dumps that retention deleted.", () => Deleted);
        _ = Count("netdump.retention.deleted", "By", "Bytes of dumps that retention deleted.", () => DeletedBytes);
        _ = Count("netdump.storage.shortages", "{shortage}", "Times that a dump could not begin as it should for lack of room (--min-free).", () => ShortOfRoom);
        _ = Meter.CreateObservableGauge("netdump.dumps.receiving", () => Receiving, "{dump}", "Dumps arriving now.");
        BurstAck = Meter.CreateHistogram("netdump.burst.ack.duration", "s", "From the first packet of a burst to its acks.", tags: null, s_latencies);
        Write = Meter.CreateHistogram("netdump.write.duration", "s", "Storing what one batch of packets brought: into the page cache, or on a file system that is slow.", tags: null, s_latencies);
        Sync = Meter.CreateHistogram("netdump.sync.duration", "s", "A dump's data made durable (fsync), at its end or for a checkpoint.", tags: null, s_latencies);
        DumpSize = Meter.CreateHistogram("netdump.dump.size", "By", "Bytes stored of dumps that ended.", tags: null, s_sizes);
        DumpDuration = Meter.CreateHistogram("netdump.dump.duration", "s", "From a dump's herald to its end.", tags: null, s_durations);
    }

    /// <summary>All instruments belong to it; each collector has its own.</summary>
    public Meter Meter { get; } = new(MeterName, typeof(CollectorMetrics).Assembly.GetName().Version?.ToString(3));

    /// <summary>What happens, for those who want to be told at once.</summary>
    public EventFeed Events { get; }

    /// <summary>Seconds from the first packet of a burst to its acks.</summary>
    public Histogram<double> BurstAck { get; }

    /// <summary>Seconds that storing a batch took.</summary>
    public Histogram<double> Write { get; }

    /// <summary>Seconds that an fsync of a dump's data took.</summary>
    public Histogram<double> Sync { get; }

    private Histogram<double> DumpSize { get; }

    private Histogram<double> DumpDuration { get; }

    /// <summary>Room on the dump directory's file system, and when it is full if dumps go on arriving as lately (infinite while nothing does); null where that is not known.</summary>
    public (long FreeBytes, long TotalBytes, double SecondsToFull)? Storage => _storage?.Invoke();

    /// <summary>Makes instruments of what is looked up only when they are read.</summary>
    public void Observe(IRuntimeReadings runtime)
    {
        _storage = () => runtime.Storage is { } storage ? (storage.FreeBytes, storage.TotalBytes, _forecast.SecondsToFull(storage.FreeBytes, Interlocked.Read(ref _written))) : null;
        _ = Gauge("netdump.sessions", "{session}", "Sessions by phase: half_open (a herald, no data), receiving, ending (being made durable), lingering (a repeated FINISHED is answered).",
            () => runtime.Sessions.Select(phase => Labelled(phase.Count, "phase", phase.Phase)));
        _ = Count("netdump.herald.dropped.packets", "{packet}", "Datagrams that the kernel dropped at the herald sockets.", () => runtime.HeraldDrops);
        _ = Meter.CreateObservableCounter("netdump.loop.busy.time", () => runtime.Loops.Select(loop => Labelled(loop.Busy.TotalSeconds, "loop", loop.Loop)), "s", "Time in which an event loop was not waiting.");
        _ = Gauge("netdump.queue.length", "{item}", "Work that waits, by whom it waits for.", () => runtime.Queues.Select(queue => Labelled(queue.Length, "queue", queue.Queue)));
        _ = Gauge("netdump.actors", "{actor}", "Actors that live, by kind.", () => runtime.Mailboxes.Select(kind => Labelled(kind.Actors, "actor", kind.Actor)));
        _ = Gauge("netdump.actor.mailbox.length", "{message}", "Messages that wait in mailboxes, by kind of actor. A session gets its packets without its mailbox.", () => runtime.Mailboxes.Select(kind => Labelled(kind.Waiting, "actor", kind.Actor)));
        _ = Gauge("netdump.actor.mailbox.peak.length", "{message}", "Most messages that waited in the mailbox of one actor since the start, by kind.", () => runtime.Mailboxes.Select(kind => Labelled(kind.Peak, "actor", kind.Actor)));
        _ = Count("netdump.actor.mailbox.refused.messages", "{message}", "Messages that found a mailbox full, by kind of actor.", () => runtime.Mailboxes.Select(kind => Labelled(kind.Refused, "actor", kind.Actor)));
        _ = Count("netdump.actor.restarts", "{restart}", "Actors that were started again after a failure.", () => runtime.ActorRestarts);
        _ = Count("netdump.actor.failures", "{failure}", "Exceptions that left an actor.", () => runtime.ActorFailures);
        _ = Count("netdump.dead.letters", "{message}", "Messages that no actor took.", () => runtime.DeadLetters);
        _ = Gauge("netdump.storage.free", "By", "Room on the dump directory's file system that this process may use.", () => Known(runtime.Storage?.FreeBytes));
        _ = Gauge("netdump.storage.size", "By", "Size of the dump directory's file system.", () => Known(runtime.Storage?.TotalBytes));
        _ = Meter.CreateObservableGauge("netdump.storage.time.to.full", () => Known(Storage?.SecondsToFull),
            "s", "When that file system is full if dumps go on arriving as in the last ten minutes.");
        _ = Count("netdump.host.udp.in.csum.errors", "{packet}", "UdpInCsumErrors of the machine: the only trace of kernels that send from a buffer that they reuse.", () => Known(HostUdp.Read()?.ChecksumErrors));
        _ = Count("netdump.host.udp.rcvbuf.errors", "{packet}", "UdpRcvbufErrors of the machine.", () => Known(HostUdp.Read()?.ReceiveBufferErrors));
        _ = Gauge("netdump.build.info", "{build}", "1; the version is a label.", () => [Labelled(1L, "version", Meter.Version ?? "")]);
        _ = Meter.CreateObservableCounter("process.cpu", () => ProcessReadings.CpuSeconds, "s", "Processor time of this process, user and system.");
        _ = Gauge("process.resident.memory", "By", "Memory of this process that is resident.", () => Known<long>(ProcessReadings.ResidentBytes));
        _ = Gauge("process.open.fds", "{descriptor}", "File descriptors that are open.", () => Known(ProcessReadings.OpenDescriptors));
        _ = Gauge("process.max.fds", "{descriptor}", "File descriptors that may be open.", () => Known(ProcessReadings.MaxDescriptors));
        _ = Meter.CreateObservableGauge("process.start.time", () => ProcessReadings.StartedAt.ToUnixTimeMilliseconds() / 1000.0, "s", "When this process was started, since 1970.");
    }

    private static Measurement<T> Labelled<T>(T value, string label, string text) where T : struct => new(value, new KeyValuePair<string, object?>(label, text));

    /// <summary>What is not known has no value, rather than a wrong one.</summary>
    private static IEnumerable<Measurement<T>> Known<T>(T? value) where T : struct => value is T known ? [new(known)] : [];

    private ObservableGauge<long> Gauge(string name, string unit, string description, Func<IEnumerable<Measurement<long>>> read) => Meter.CreateObservableGauge(name, read, unit, description);

    private ObservableCounter<long> Count(string name, string unit, string description, Func<long> read) => Meter.CreateObservableCounter(name, read, unit, description);

    private ObservableCounter<long> Count(string name, string unit, string description, Func<IEnumerable<Measurement<long>>> read) => Meter.CreateObservableCounter(name, read, unit, description);
}
