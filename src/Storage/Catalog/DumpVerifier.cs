using System.Globalization;

namespace NetdumpCollector.Storage;

/// <summary>What comparing a dump's files with its manifest showed.</summary>
/// <param name="Problems">What is wrong, in words: a file that is missing or has changed, bytes that never came.</param>
/// <param name="Notes">What could not be told, and what is right with a dump that is wrong, in words.</param>
public sealed record VerificationResult(IReadOnlyList<string> Problems, IReadOnlyList<string> Notes)
{
    /// <summary>The files are what the manifest says, and the manifest says that nothing is missing or damaged.</summary>
    public bool IsGood => Problems.Count == 0;
}

/// <summary>Compares a dump's files with its manifest.</summary>
public static class DumpVerifier
{
    /// <summary>Reads the whole vmcore when its hash is known; never throws for what is wrong with the dump.</summary>
    /// <param name="dump">The dump to look at.</param>
    /// <param name="cancellation">Ends the reading early.</param>
    /// <param name="progress">Gets the bytes of the vmcore read so far.</param>
    /// <exception cref="OperationCanceledException"><paramref name="cancellation"/> was requested.</exception>
    public static VerificationResult Verify(CatalogedDump dump, CancellationToken cancellation, Action<long>? progress = null)
    {
        var problems = new List<string>();
        var notes = new List<string>();
        var manifest = dump.Manifest;
        bool matches = CheckVmcoreLength(dump, problems) && CheckHash(dump, problems, notes, progress, cancellation);
        if (!File.Exists(dump.InfoPath))
            problems.Add($"{manifest.Files.Info}: missing");
        if (dump.KeyPath is string keyPath && !File.Exists(keyPath))
            problems.Add($"{manifest.Files.Key}: missing, the dump cannot be decrypted without it");
        CheckCoverage(manifest, problems);
        // After a failed write the file may have been another than what came already when it was hashed.
        if (matches && problems.Count > 0 && manifest.Reason != Protocol.EndReason.WriteError)
        {
            notes.Add(Text($"{manifest.Files.Vmcore}: SHA-256 matches, what is there is what was received{(manifest.UnverifiedBytes > 0
                ? Text($", except {manifest.UnverifiedBytes} unverified bytes") : "")}"));
        }

        return new(problems, notes);
    }

    private static bool CheckVmcoreLength(CatalogedDump dump, List<string> problems)
    {
        var vmcore = new FileInfo(dump.VmcorePath);
        if (!vmcore.Exists)
            problems.Add($"{dump.Manifest.Files.Vmcore}: missing");
        else if ((ulong)vmcore.Length != dump.Manifest.Bytes)
            problems.Add(Text($"{dump.Manifest.Files.Vmcore}: has {vmcore.Length} bytes, the manifest says {dump.Manifest.Bytes}"));
        else
            return true;
        return false;
    }

    /// <returns>The content is what the manifest says.</returns>
    private static bool CheckHash(CatalogedDump dump, List<string> problems, List<string> notes, Action<long>? progress, CancellationToken cancellation)
    {
        string name = dump.Manifest.Files.Vmcore;
        if (dump.Manifest.Sha256 is not string expected)
        {
            notes.Add($"{name}: SHA-256 unknown ({Word(dump.Manifest.HashState)}), the content was not compared");
            return false;
        }

        try
        {
            string actual = DumpHash.Compute(dump.VmcorePath, cancellation, progress);
            if (actual.Equals(expected, StringComparison.OrdinalIgnoreCase))
                return true;
            problems.Add($"{name}: SHA-256 is {actual}, the manifest says {expected}");
        }
        catch (StorageException e)
        {
            problems.Add(e.Message);
        }

        return false;
    }

    private static void CheckCoverage(Manifest manifest, List<string> problems)
    {
        if (manifest.Status == Protocol.DumpStatus.Truncated)
            problems.Add(Text($"truncated by policy ({manifest.TruncatedBy}): {manifest.MissingBytes} bytes are not stored"));
        else if (manifest.MissingBytes > 0)
            problems.Add(Text($"incomplete: {manifest.MissingBytes} bytes missing in {manifest.MissingRanges} ranges"));
        if (manifest.Damaged.Count > 0)
            problems.Add(Text($"damaged: {manifest.Damaged.Count} ranges changed between transmissions"));
        if (manifest.Error is string error)
            problems.Add($"ended by an error: {error}");

        bool contradicts = manifest.Status == Protocol.DumpStatus.Complete
            && (manifest.MissingBytes > 0 || manifest.CoveredBytes < manifest.Bytes || manifest.Kdh is not { Valid: true } kdh || kdh.DumpLength != manifest.Bytes);
        if (contradicts)
            problems.Add("the manifest says complete, but its lengths and coverage contradict that");
        else if (manifest.Status != Protocol.DumpStatus.Complete && problems.Count == 0)
            problems.Add($"not complete: {Word(manifest.Status)}, {Word(manifest.Reason)}");
    }

    private static string Word<T>(T value) where T : struct, Enum => System.Text.Json.JsonNamingPolicy.CamelCase.ConvertName(value.ToString());

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
