using System.Globalization;
using NetdumpCollector.Collector.Settings;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;
using NetdumpCollector.Transport;

namespace NetdumpCollector.Collector.Doctor;

/// <summary>Sends a dump to the collector that runs: it is stored beside the real ones, and the script runs after it, as after any.</summary>
internal static class DrillCheck
{
    private const string Subject = SyntheticDump.Subject;
    private const long SizeBytes = 4 << 20;

    /// <param name="settings">What the collector runs with.</param>
    /// <param name="own">This machine's addresses beside the loopback ones.</param>
    /// <param name="onStep">Told how far it is.</param>
    /// <param name="stop">Ends it early.</param>
    public static IEnumerable<Finding> Look(CollectorSettings settings, IReadOnlyList<Ipv4> own, Action<string> onStep, CancellationToken stop)
    {
        Ipv4[] servers = settings.Address == Ipv4.Any ? [Ipv4.Loopback, .. own] : [settings.Address];
        if (!servers.Any(server => IsAllowed(settings, server)))
            return [new(FindingLevel.LeftOut, Subject, "--allow and --deny let no address of this machine dump", $"send from a machine that may, or allow {SyntheticDump.SourceFor(servers[0])}/32")];
        try
        {
            var dump = SyntheticDump.Send(servers.First(server => IsAllowed(settings, server)), settings, SizeBytes,
                ackedBytes => onStep($"{ByteSize.Format(ackedBytes)} of {ByteSize.Format(SizeBytes)}"), stop);
            return [Judge(settings, dump)];
        }
        catch (Exception e) when (e is EndpointException or StorageException)
        {
            return [Finding.FromSentence(FindingLevel.Problem, Subject, e.Message)];
        }
    }

    public static Finding Judge(CollectorSettings settings, SyntheticDump dump)
    {
        if (dump.Summary.Failures is [var failure, ..])
        {
            return new(FindingLevel.Problem, Subject, string.Create(CultureInfo.InvariantCulture, $"failed {dump.Route} in {failure.Phase} after {ByteSize.Format(dump.Summary.Bytes)}: {failure.Reason}"),
                "look at the collector's log (journalctl -u netdump-collector), and at what is said of storage and room above");
        }

        if (dump.Dump is not { } stored)
        {
            return new(FindingLevel.Warning, Subject, $"{dump.Measured}; acked, but it is not in {Path.GetFullPath(settings.Directory)}: the collector has another dump directory",
                "give doctor the service's settings: --config /etc/netdump-collector.json; then delete what it made there: netdump-collector dumps list");
        }

        string remove = $"delete it in 15 s: netdump-collector dumps rm --force {stored.Manifest.Id} -d '{Path.GetFullPath(settings.Directory)}'";
        return dump.Difference is string difference
            ? new(FindingLevel.Problem, Subject, difference, $"look at the disk and its cables (dmesg, smartctl), and report it; {remove}")
            : new(FindingLevel.Ok, Subject, $"{dump.Measured}; read back and equal{(stored.Manifest.Status == DumpStatus.Truncated ? $", as far as {stored.Manifest.TruncatedBy} lets it be stored" : "")}; stored as {stored.VmcorePath}", remove);
    }

    private static bool IsAllowed(CollectorSettings settings, Ipv4 server) =>
        SyntheticDump.SourceFor(server) is var source && (settings.Allowed.IsEmpty || settings.Allowed.Contains(source)) && !settings.Denied.Contains(source);
}
