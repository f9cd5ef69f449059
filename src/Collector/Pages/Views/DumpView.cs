using NetdumpCollector.Collector.Dumps;
using NetdumpCollector.Protocol.Storm;

namespace NetdumpCollector.Collector.Pages;

/// <summary>A dump as lists of pages show it.</summary>
/// <param name="Id">Null for a left-over without a readable ledger; so are the other nulls.</param>
/// <param name="Host">As in the file names.</param>
/// <param name="Client">The client's address.</param>
/// <param name="StartedAt">When its herald came.</param>
/// <param name="Bytes">Length of the file.</param>
/// <param name="Status">As in the list of dumps.</param>
/// <param name="Panic">Its panic message.</param>
/// <param name="Signature">What that has in common with those of the same bug.</param>
/// <param name="File">Path from the dump directory.</param>
/// <param name="IsPinned">Retention never deletes it.</param>
/// <param name="Node">The node that has it; null without a fleet.</param>
public sealed record DumpView(string? Id, string? Host, string? Client, DateTimeOffset? StartedAt, long Bytes, string Status, string? Panic, string? Signature, string File, bool IsPinned, string? Node = null)
{
    public const string Receiving = "receiving";

    public string Name => Host ?? Client ?? File;

    public bool HasEnded => Status is not (Receiving or "interrupted");

    internal static DumpView Of(DumpList.Row row)
    {
        string? panic = string.IsNullOrWhiteSpace(row.Panic) ? null : row.Panic;
        return new(row.Id, row.Host, row.Client, row.StartedAt, row.Bytes, row.Status, panic, panic is null ? null : PanicSignature.Of(panic), row.File, row.Pinned, row.Node);
    }
}
