using NetdumpCollector.Protocol;

namespace NetdumpCollector.Storage;

/// <summary>What one owner of a shared dump has stored of it, in a file of its own.</summary>
/// <param name="Epoch">The owner's number, from 1 on.</param>
/// <param name="Node">Its node.</param>
/// <param name="Ranges">The bytes that count, sorted and apart: no later owner has rewritten them. They lie in the segment where they lie in the dump.</param>
internal sealed record Segment(int Epoch, string Node, IReadOnlyList<ByteRange> Ranges);
