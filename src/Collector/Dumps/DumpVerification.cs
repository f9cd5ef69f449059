using System.Globalization;
using NetdumpCollector.Collector.Cli;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Collector.Dumps;

/// <summary>Verifies dumps and says in words what was found.</summary>
internal sealed class DumpVerification(CommandIo io)
{
    /// <summary>Verifies every dump; whatever else in the directory is broken or left over counts as wrong too.</summary>
    /// <returns>Nothing is wrong.</returns>
    public bool VerifyAll(DumpCatalog catalog)
    {
        bool good = Verify(catalog.Dumps);
        foreach (var partial in catalog.Partials.Where(partial => !partial.IsRunning))
        {
            io.Output.WriteLine($"{partial.Path}: WRONG");
            io.Output.WriteLine("  interrupted: the next start of the server continues this dump or ends it as incomplete");
            good = false;
        }

        foreach (var problem in catalog.Problems)
        {
            io.Output.WriteLine($"{problem.Path}: WRONG");
            io.Output.WriteLine($"  {problem.Reason}");
            good = false;
        }

        return good;
    }

    /// <summary>Verifies <paramref name="dumps"/>.</summary>
    /// <returns>Nothing is wrong.</returns>
    public bool Verify(IReadOnlyList<CatalogedDump> dumps)
    {
        var progress = new ProgressLine(io, TimeProvider.System);
        long totalBytes = dumps.Sum(BytesToRead);
        long doneBytes = 0;
        int wrong = 0;
        try
        {
            foreach (var dump in dumps)
            {
                var result = DumpVerifier.Verify(dump, io.Stop, readBytes => progress.Show(doneBytes + readBytes, totalBytes, dump.Name));
                doneBytes += BytesToRead(dump);
                progress.Clear();
                Report(dump, result);
                wrong += result.IsGood ? 0 : 1;
            }
        }
        catch (OperationCanceledException)
        {
            progress.Clear();
            io.Complain("interrupted");
            return false;
        }

        if (dumps.Count != 1)
            io.Output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{dumps.Count} dumps verified, {wrong} wrong"));
        return wrong == 0;
    }

    private static long BytesToRead(CatalogedDump dump) => dump.Manifest.Sha256 is null ? 0 : (long)dump.Manifest.Bytes;

    private void Report(CatalogedDump dump, VerificationResult result)
    {
        io.Output.WriteLine($"{dump.Name} ({dump.Manifest.Id}): {(result.IsGood ? "good" : "WRONG")}");
        foreach (string line in result.Problems.Concat(result.Notes))
            io.Output.WriteLine($"  {line}");
    }
}
