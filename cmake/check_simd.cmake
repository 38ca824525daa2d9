# Fails if an object compiled for the set ISA defines a symbol that objects of other sets may define too.
foreach(object ${OBJECTS})
  execute_process(COMMAND ${NM} --demangle --defined-only --extern-only ${object} OUTPUT_VARIABLE symbols
    COMMAND_ERROR_IS_FATAL ANY)
  string(REPLACE "\n" ";" symbols "${symbols}")
  foreach(symbol ${symbols})
    if(symbol MATCHES " [TWVu] (.*)$" AND NOT symbol MATCHES "::${ISA}::|DW\\.ref\\.__gxx_personality_v0")  # a pointer
      list(APPEND shared "${symbol}")
    endif()
  endforeach()
  if(shared)
    list(JOIN shared "\n  " shared)
    message(FATAL_ERROR "${object}: not in namespace ${ISA}:\n  ${shared}")
  endif()
endforeach()
