namespace NetdumpCollector.Protocol;

/// <summary>What a client message carries.</summary>
/// <remarks>Source: FreeBSD sys/netinet/netdump/netdump.h.</remarks>
public enum MessageType : uint
{
    Herald = 1,
    Finished = 2,
    Vmcore = 3,
    Kdh = 4,
    EkcdKey = 5,
}
