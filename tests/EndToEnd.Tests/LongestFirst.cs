using System.Runtime.Versioning;
using NetdumpCollector.EndToEnd.Tests.Otlp;
using NetdumpCollector.EndToEnd.Tests.Takeover;
using Xunit.Abstractions;

[assembly: TestCollectionOrderer("NetdumpCollector.EndToEnd.Tests.LongestFirst", "NetdumpCollector.EndToEnd.Tests")]

namespace NetdumpCollector.EndToEnd.Tests;

/// <summary>The classes that take longest begin first, so that none of them is alone at the end.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class LongestFirst : ITestCollectionOrderer
{
    /// <summary>Those of more than half a minute.</summary>
    private static readonly string[] s_order =
    [
        .. new[] { typeof(KilledOwnerTests), typeof(KilledOwnerLeavesSomeTests), typeof(PausedOwnerTests), typeof(MovedAddressTests), typeof(StitchedDumpTests), typeof(RandomKillTests), typeof(StorageFaultTests), typeof(AccessTests), typeof(MachineCrashTests), typeof(RestartTests), typeof(NdblastTests), typeof(SendTests), typeof(PackageTests), typeof(OtlpTests) }
            .Select(type => type.FullName!),
    ];

    public IEnumerable<ITestCollection> OrderTestCollections(IEnumerable<ITestCollection> testCollections) => testCollections.OrderBy(RankOf);

    private static int RankOf(ITestCollection collection)
    {
        // A class is a collection of its own, which has the class's name at the end of its own name.
        int rank = Array.FindIndex(s_order, name => collection.DisplayName.EndsWith($" {name}", StringComparison.Ordinal));
        return rank < 0 ? s_order.Length : rank;
    }
}
