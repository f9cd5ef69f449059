using System.Globalization;
using Microsoft.Diagnostics.Tracing;
using Microsoft.Diagnostics.Tracing.Analysis;

namespace NetdumpCollector.Micro;

/// <summary>Garbage collections of a process, from the trace that its runtime wrote.</summary>
/// <remarks>
/// The runtime writes one when started with DOTNET_EnableEventPipe=1, DOTNET_EventPipeConfig=Microsoft-Windows-DotNETRuntime:1:4 (keyword GC,
/// level informational) and DOTNET_EventPipeOutputPath=FILE; it is whole once the process has ended.
/// </remarks>
internal static class GcPauses
{
    private const int Generations = 3;

    /// <summary>Prints number, longest and total pause of the collections of each generation, and those of generation 2 one by one.</summary>
    /// <returns>The exit code: 0, or 1 when the file is no trace.</returns>
    public static int Print(string path, TextWriter output)
    {
        int[] counts = new int[Generations];
        double[] longestMs = new double[Generations], totalMs = new double[Generations];
        var full = new List<string>();
        double lengthMs;
        try
        {
            using var source = new EventPipeEventSource(path);
            source.NeedLoadedDotNetRuntimes();
            source.Process();
            foreach (var collection in source.Processes().SelectMany(process => process.LoadedDotNetRuntime()?.GC.GCs ?? []))
            {
                int generation = Math.Min(collection.Generation, Generations - 1);
                counts[generation]++;
                totalMs[generation] += collection.PauseDurationMSec;
                longestMs[generation] = Math.Max(longestMs[generation], collection.PauseDurationMSec);
                if (generation == Generations - 1)
                {
                    full.Add(string.Create(CultureInfo.InvariantCulture,
                        $"| {collection.StartRelativeMSec / 1000:0.0} | {collection.Type} | {collection.Reason} | {collection.PauseDurationMSec:0.00} | {collection.SuspendDurationMSec:0.00} | {collection.HeapSizeBeforeMB:0.0} |"));
                }
            }

            lengthMs = source.SessionDuration.TotalMilliseconds;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException)
        {
            Console.Error.WriteLine($"{path}: {e.Message}");
            return 1;
        }

        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"Trace of {lengthMs / 1000:0.0} s"));
        output.WriteLine("| generation | collections | longest pause ms | pauses together ms |");
        output.WriteLine("|---|---|---|---|");
        for (int generation = 0; generation < Generations; generation++)
        {
            output.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"| {generation} | {counts[generation]} | {longestMs[generation]:0.00} | {totalMs[generation]:0.00} |"));
        }

        output.WriteLine();
        output.WriteLine("| at s | generation 2 | reason | pause ms | of that until all threads stood ms | heap before MB |");
        output.WriteLine("|---|---|---|---|---|---|");
        foreach (string line in full)
            output.WriteLine(line);

        return 0;
    }
}
