namespace NetdumpCollector.Protocol.Client;

/// <summary>What a <see cref="KernelClient"/> is sending.</summary>
public enum ClientState
{
    /// <summary>Not started.</summary>
    Idle,

    Herald,
    Key,

    /// <summary>The dump's bytes.</summary>
    Vmcore,

    Kdh,
    Finished,

    /// <summary>Everything that was to be sent has been acked, as far as the kernel knows.</summary>
    Done,

    /// <summary>A burst stayed unacked through all its rounds; <see cref="KernelClient.EndedIn"/> tells which.</summary>
    Failed,

    /// <summary>The host went away (<see cref="KernelClient.Die"/>).</summary>
    Dead,
}
