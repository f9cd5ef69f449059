using NetdumpCollector.Protocol;

namespace NetdumpCollector.Storage.Tests.Takeover;

/// <summary>A kernel that sends a dump, one burst after the other, each until it is acked; it does not know how many nodes there are.</summary>
internal sealed class SharedClient
{
    private const int PayloadBytes = 2048;

    private readonly List<(MessageType Type, ulong Offset, byte[] Payload)[]> _bursts = [];
    private readonly List<uint> _seqnos = [];
    private int _next;

    public SharedClient(int pages)
    {
        uint seqno = 2;
        for (int page = 0; page < pages; page++)
        {
            ulong offset = (ulong)page * WellKnown.PageBytes;
            byte[] bytes = Conversation.Page(offset);
            Add([.. Enumerable.Range(0, WellKnown.PageBytes / PayloadBytes)
                .Select(i => (MessageType.Vmcore, offset + (ulong)(i * PayloadBytes), bytes[(i * PayloadBytes)..((i + 1) * PayloadBytes)]))]);
            Content = [.. Content, .. bytes];
        }

        Add((MessageType.Kdh, 0, KernelDumpHeader.Create("amd64", (ulong)Content.Length, Dumps.StartedAt, 0, 512, DumpCompression.None, "web", "FreeBSD", "panic")));
        Add((MessageType.Finished, 0, []));

        void Add(params (MessageType, ulong, byte[])[] burst)
        {
            _bursts.Add(burst);
            _seqnos.Add(seqno);
            seqno += (uint)burst.Length;
        }
    }

    public byte[] Content { get; } = [];

    public bool IsDone => _next == _bursts.Count;

    /// <summary>Sends the next so many bursts to one node; false when it does not ack one that is repeated four times, as a dead one does not.</summary>
    public bool Send(SharedNode node, int bursts = int.MaxValue)
    {
        for (; bursts > 0 && !IsDone; bursts--)
        {
            int burst = _next;
            bool isAcked = false;
            for (int i = 0; i < 4 && !isAcked && _next == burst; i++)
                isAcked = node.Receive(_seqnos[burst], _bursts[burst]);
            if (!isAcked && _next == burst)
                return false;
            // Another node may have acked more while this one was at it.
            _next = Math.Max(_next, burst + 1);
        }

        return true;
    }
}
