using System.Globalization;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Collector.Doctor;

/// <summary>Whether dumps cross the network in clear: netdump itself encrypts nothing.</summary>
internal static class EncryptionCheck
{
    private const string Subject = "encryption";

    /// <summary>Older dumps tell of hosts as they were set up then.</summary>
    private const int MaxRecent = 100;

    public static IEnumerable<Finding> Look(DumpCatalog? catalog) =>
        [Judge([.. (catalog?.Dumps ?? []).Where(dump => dump.Manifest.Kdh is not { PanicString: SyntheticDump.Panic }).TakeLast(MaxRecent).Select(dump => dump.Manifest.Files.Key is not null)])];

    /// <param name="areEncrypted">Of the latest dumps, whether a key came with each.</param>
    public static Finding Judge(IReadOnlyList<bool> areEncrypted)
    {
        int clear = areEncrypted.Count(isEncrypted => !isEncrypted);
        const string Stakes = "netdump has no transport security, and a dump is all of a kernel's memory: keys, passwords, file contents";
        const string Advice = "on each client, with a public key whose private one is kept elsewhere: dumpon -k public.pem -s SERVER -c CLIENT -g GATEWAY DEVICE";
        if (areEncrypted.Count == 0)
            return new(FindingLevel.Warning, Subject, $"dumps cross the network in clear unless the client encrypts them: {Stakes}", Advice);
        return clear > 0
            ? new(FindingLevel.Warning, Subject, string.Create(CultureInfo.InvariantCulture, $"{clear} of the latest {areEncrypted.Count} dumps crossed the network in clear: {Stakes}"), Advice)
            : new(FindingLevel.Ok, Subject, string.Create(CultureInfo.InvariantCulture, $"the latest {areEncrypted.Count} dumps were encrypted by their clients (dumpon -k)"));
    }
}
