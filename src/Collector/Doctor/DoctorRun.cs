using System.Runtime.Versioning;
using NetdumpCollector.Collector.Cli;
using NetdumpCollector.Collector.Settings;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Collector.Doctor;

/// <summary>All looks of one <c>doctor</c>, in an order in which each may rely on those before.</summary>
/// <param name="settings">What <c>serve</c> would run with.</param>
/// <param name="sends">Send to a collector that runs.</param>
/// <param name="examination">Takes the looks.</param>
/// <param name="io">Environment and stop.</param>
[UnsupportedOSPlatform("windows")]
internal sealed class DoctorRun(CollectorSettings settings, bool sends, Examination examination, CommandIo io)
{
    private const string UseAnother = "look why the file system hangs (dmesg, mount), or name a directory elsewhere with -d";

    private static readonly TimeSpan s_quick = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan s_long = TimeSpan.FromSeconds(20);

    /// <summary>A kernel sends the last packet that is not acked for about 12 s; there is one dump for each address.</summary>
    private static readonly TimeSpan s_sending = TimeSpan.FromSeconds(60);

    private readonly IReadOnlyList<Protocol.Ipv4> _own = OwnAddresses.Read();

    /// <exception cref="OperationCanceledException">It was stopped.</exception>
    public void Run()
    {
        Look(MachineCheck.Subject, () => MachineCheck.Look(settings));
        Look("the user", PrivilegesCheck.Look);
        Look("limits", () => LimitsCheck.Look(settings));
        Look("receive buffers", () => ReceiveBufferCheck.Look(settings));
        Look("lost datagrams", UdpCountersCheck.Look);
        Look("the clock", ClockCheck.Look);
        bool canStore = LookAtDirectory();

        var port = new HeraldPortFacts(null, null);
        Look(HeraldPortCheck.Subject, () => HeraldPortCheck.Judge(settings, port = HeraldPortCheck.Read(settings), Proc.Numbers("net.ipv4.ip_local_port_range")));
        RunningServerFacts? running = null;
        if (!port.IsFree)
            Look("the collector that runs", () => LookAtServer(port, out running));
        bool isServed = port.IsServed || running is { Metrics: not null };
        Look("session ports", () => SessionPortsCheck.Judge(settings, SessionPortsCheck.Read(settings), isServed));
        Look("the HTTP port", () => HttpPortCheck.Look(settings));
        Look("access by HTTP", () => HttpAccessCheck.Look(settings));
        examination.Look("host names", s_long, "look at the name servers in /etc/resolv.conf", _ => HostNamesCheck.Look(settings, _own));
        examination.Look("the script", s_quick, "look at the file system that it lies on", _ => ScriptCheck.Look(settings.Script));
        examination.Look("the webhook", s_long, "look at the name servers in /etc/resolv.conf", stop => WebhookCheck.Look(settings, stop));
        examination.Look(ObjectStoreCheck.Subject, s_long, "look whether a firewall drops what goes to the store", stop => ObjectStoreCheck.Look(settings, stop));
        examination.Look(CatalogueCheck.Subject, s_long, "look whether a firewall drops what goes to the database", stop => CatalogueCheck.Look(settings, stop));
        Look("the way in", () => FirewallCheck.Look(settings));
        Send(port, isServed, canStore);
    }

    private void Look(string subject, Func<IEnumerable<Finding>> look) => examination.Look(subject, s_quick, "report it", _ => look());

    /// <returns>Whether dumps can be stored.</returns>
    private bool LookAtDirectory()
    {
        // One look at a time: where the first one hangs, the others would, too.
        string directory = settings.Directory;
        DumpCatalog? catalog = null;
        bool isThere = IsGood(examination.Look(DirectoryCheck.Subject, 3 * s_quick, UseAnother, _ => DirectoryProbe.Answers(settings.Directory, s_quick) ? DirectoryCheck.Look(settings)
                : [new(FindingLevel.Problem, DirectoryCheck.Subject, $"{Path.GetFullPath(settings.Directory)} did not answer within {s_quick.TotalSeconds:F0} s: no dump could be stored", UseAnother)]))
            && IsGood(examination.Look("the file system", s_quick, UseAnother, _ => FileSystemCheck.Look(directory = DirectoryCheck.ExistingOf(settings.Directory), settings.Takeover)));
        // What lies in the directory above one that is yet to be made are no dumps, and may be a whole machine's files.
        bool hasDumps = directory == Path.GetFullPath(settings.Directory);
        bool isRead = isThere && (!hasDumps || IsGood(examination.Look("the dumps that are there", s_long, UseAnother, _ => ReadCatalog(directory, out catalog))));
        examination.Look("encryption", s_quick, "report it", _ => EncryptionCheck.Look(catalog));
        return isRead
            && IsGood(examination.Look("room", s_quick, UseAnother, _ => RoomCheck.Look(settings, directory, catalog)))
            && IsGood(examination.Look(StorageCheck.Subject, s_long, UseAnother, stop => StorageCheck.Look(directory, stop)));
    }

    private static IEnumerable<Finding> ReadCatalog(string directory, out DumpCatalog? catalog)
    {
        catalog = null;
        try
        {
            catalog = DumpCatalog.Read(directory);
            return catalog.Problems.Count == 0 ? [] : [new(FindingLevel.Warning, "dumps", $"{catalog.Problems[0].Path}: {catalog.Problems[0].Reason}{(catalog.Problems.Count > 1 ? $", and {catalog.Problems.Count - 1} more like it" : "")}", "netdump-collector dumps verify --all")];
        }
        catch (StorageException e)
        {
            return [new(FindingLevel.Warning, "dumps", e.Message)];
        }
    }

    private IEnumerable<Finding> LookAtServer(HeraldPortFacts port, out RunningServerFacts? running)
    {
        running = RunningServerCheck.Read(settings, io);
        // Another program's port has been told of.
        return port.IsServed || running.Metrics is not null ? RunningServerCheck.Judge(running) : [];
    }

    private void Send(HeraldPortFacts port, bool isServed, bool canStore)
    {
        const string Hang = "look at what is said of the dump directory above";
        if (port.IsFree && canStore)
        {
            string directory = DirectoryCheck.ExistingOf(settings.Directory);
            examination.Look(SyntheticDump.Subject, s_sending, Hang, stop => TrialServerCheck.Look(settings, directory, _own, step => examination.Step = step, stop));
        }
        else if (isServed && sends)
            examination.Look(SyntheticDump.Subject, s_sending, Hang, stop => DrillCheck.Look(settings, _own, step => examination.Step = step, stop));
        else
        {
            examination.Look(SyntheticDump.Subject, s_quick, Hang, _ => [isServed
                ? new(FindingLevel.LeftOut, SyntheticDump.Subject, "a collector runs: a dump that is sent to it stays in its dump directory, and its script runs", "netdump-collector doctor --send")
                : new(FindingLevel.LeftOut, SyntheticDump.Subject, port.IsFree ? "the dump directory cannot be used" : "the herald port cannot be had")]);
        }
    }

    private static bool IsGood(IReadOnlyList<Finding> findings) => findings.All(finding => finding.Level != FindingLevel.Problem);
}
