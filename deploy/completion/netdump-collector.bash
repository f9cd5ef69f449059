# bash completion for netdump-collector(1): the program itself knows its commands and options.
_netdump_collector() {
    local line=${COMP_LINE:0:COMP_POINT} current=${COMP_WORDS[COMP_CWORD]} suggestion
    # The program takes the first word for its name only when it is that.
    line=netdump-collector${line#"${COMP_WORDS[0]}"}
    COMPREPLY=()
    while IFS= read -r suggestion; do
        case $suggestion in
            # Other spellings of --help.
            -? | /*) ;;
            "$current"*) COMPREPLY+=("$suggestion") ;;
        esac
    done < <("${COMP_WORDS[0]}" "[suggest:${#line}]" "$line" 2>/dev/null)
} && complete -o default -F _netdump_collector netdump-collector
