using System.Diagnostics;
using System.Globalization;
using NetdumpCollector.Actors.HostNames;
using NetdumpCollector.Collector.Settings;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Collector.Doctor;

/// <summary>An address that was looked up.</summary>
/// <param name="Address">The address.</param>
/// <param name="Name">Its name; null where it has none.</param>
/// <param name="Took">How long the answer took; null where none came in time.</param>
internal sealed record NameLookup(Ipv4 Address, string? Name, TimeSpan? Took);

/// <summary>Whether files would be named after hosts: by the hosts file and reverse DNS.</summary>
internal static class HostNamesCheck
{
    private const string Subject = "host names";
    private const int MaxOwn = 3;

    /// <summary>Of TEST-NET-1 (RFC 5737), which nobody has: a name server that lives says so, and a file of hosts does not know it.</summary>
    private static readonly Ipv4 s_nobody = new(0xc0000201);

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(3);

    public static IEnumerable<Finding> Look(CollectorSettings settings, IReadOnlyList<Ipv4> ownAddresses)
    {
        var findings = new List<Finding>();
        try
        {
            if (settings.HostsFile is string file)
            {
                HostMap.Load(file);
                findings.Add(new(FindingLevel.Ok, Subject, $"{file} can be used"));
            }
        }
        catch (HostMapException e)
        {
            findings.Add(new(FindingLevel.Problem, Subject, $"{e.Message}: serve would not start", "correct the file, or leave --hosts out"));
        }

        using var resolver = new HostNameResolver(HostMap.Empty, TimeProvider.System, s_patience);
        findings.Add(Judge([.. ownAddresses.Take(MaxOwn).Append(s_nobody).Select(address => LookUp(resolver, address))]));
        return findings;
    }

    public static Finding Judge(IReadOnlyList<NameLookup> lookups)
    {
        var late = HostNameResolver.DefaultDeadline;
        string known = string.Join(", ", lookups.Where(lookup => lookup.Name is not null).Select(lookup => $"{lookup.Address} is {lookup.Name}"));
        string names = known.Length > 0 ? $"; {known}" : "";
        if (lookups.FirstOrDefault(lookup => lookup.Took is null) is { } dead)
        {
            return new(FindingLevel.Warning, Subject, string.Create(CultureInfo.InvariantCulture,
                $"no name server answers (asked for {dead.Address}): files are named after addresses, and a dump waits for its name no longer than {late.TotalMilliseconds:F0} ms{names}"),
                "correct /etc/resolv.conf, or name hosts by --hosts FILE, which needs no name server");
        }

        var slowest = lookups.Max(lookup => lookup.Took!.Value);
        return slowest > late
            ? new(FindingLevel.Warning, Subject, string.Create(CultureInfo.InvariantCulture,
                $"reverse DNS takes {slowest.TotalMilliseconds:F0} ms: dumps shorter than {late.TotalMilliseconds:F0} ms are named after addresses{names}"), "look at the name servers in /etc/resolv.conf, or use --hosts FILE")
            : new(FindingLevel.Ok, Subject, string.Create(CultureInfo.InvariantCulture, $"reverse DNS answers within {Math.Max(slowest.TotalMilliseconds, 1):F0} ms{names}"));
    }

    private static NameLookup LookUp(HostNameResolver resolver, Ipv4 address)
    {
        long started = Stopwatch.GetTimestamp();
        var name = resolver.Resolve(address);
        bool isAnswered = Task.WhenAny(name, Task.Delay(s_patience)).GetAwaiter().GetResult() == name;
        return new(address, isAnswered && name.Result != address.ToString() ? name.Result : null, isAnswered ? Stopwatch.GetElapsedTime(started) : null);
    }
}
