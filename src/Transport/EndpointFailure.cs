namespace NetdumpCollector.Transport;

/// <summary>Says to an operator why a socket could not be opened and what to do about it.</summary>
internal static class EndpointFailure
{
    /// <param name="options">What was to be opened.</param>
    /// <param name="error">What stood in the way.</param>
    /// <param name="systemText">The system's own words for it.</param>
    /// <param name="inner">Where it was thrown from, if it was.</param>
    public static EndpointException Create(EndpointOptions options, EndpointError error, string systemText, Exception? inner = null) =>
        new($"cannot open UDP {options.Address}:{options.Port}: {Advice(error, options, systemText)}", error, inner);

    private static string Advice(EndpointError error, EndpointOptions options, string systemText) => error switch
    {
        EndpointError.PortTaken when options.Port == 0 =>
            $"the system has no free port left ({systemText}); widen its range of ephemeral ports",
        EndpointError.PortTaken =>
            $"the port is in use ({systemText}); stop the program that holds it ('ss -ulpn sport = :{options.Port}' names it) or choose another port",
        EndpointError.AddressNotLocal =>
            $"the address is not one of this machine's ({systemText}); use one that 'ip address' lists, or 0.0.0.0 for all",
        EndpointError.NotPermitted =>
            $"not permitted ({systemText}); ports below 1024 need root or CAP_NET_BIND_SERVICE, and a firewall or security policy may forbid others",
        EndpointError.NoDescriptors =>
            $"no file descriptor or socket memory is left ({systemText}); raise the limit of open files ('ulimit -n', LimitNOFILE= in a systemd unit)",
        _ => systemText,
    };
}
